"""What people read of a run and of data: pages, charts, contact sheets."""
