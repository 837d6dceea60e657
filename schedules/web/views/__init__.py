"""The pages, one module a group: see the convention in schedules/web/__init__.py."""
