"""Executes a notebook from top to bottom and fails if a cell does. Keeps no output in the file."""

import pathlib
import sys

import nbclient
import nbformat

path = pathlib.Path(sys.argv[1])
notebook = nbformat.read(path, as_version=4)
for cell in notebook.cells:
    if cell.cell_type == "code" and (cell.outputs or cell.execution_count):
        sys.exit(f"{path}: holds output; clear it before committing")
nbclient.NotebookClient(notebook, timeout=1800, resources={"metadata": {"path": str(path.parent)}}).execute()
print(f"{path}: {sum(c.cell_type == 'code' for c in notebook.cells)} cells ran")
