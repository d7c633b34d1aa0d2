"""What each operation computes and its derivatives: one operation, one block, in `operations/`."""
