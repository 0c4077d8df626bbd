"""The parts of ``infra/docs/reference`` that follow from the code. ``python -m infra.docs_reference`` rewrites them."""
