"""Fakes of DynamoDB, AWS and Stripe. They import no builder and no suite."""
