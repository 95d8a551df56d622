"""What happens to pictures: one by one, and as whole batches; and where chance comes from."""
