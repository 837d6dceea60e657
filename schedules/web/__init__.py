"""The officers' door: pages in which officers see and change their rest, in a process of their own."""
