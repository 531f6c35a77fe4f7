"""The run: inspector, mailbox, guards, decision, loop, summary."""
