"""What is done about transfers: ``transfers`` decides under the call's lease, ``dials`` looks after the phones."""
