"""What a folder of own strategies holds, read and never run: for lists that a person picks from."""

import ast
from pathlib import Path


def listed(folder: str) -> list[tuple[str, str]]:
    """(name, what its file says of itself in one line) by file; a file that is no Python stands under its own name."""
    found: list[tuple[str, str]] = []
    for file in sorted(Path(folder).expanduser().glob("[!_]*.py")) if folder else ():
        try:
            tree = ast.parse(file.read_bytes())
        except (SyntaxError, ValueError, OSError) as error:
            found.append((file.stem, f"cannot be used: {' '.join(str(error).split())}"))
            continue
        told = (ast.get_docstring(tree) or "your own").partition("\n")[0]
        found += [(name, told) for node in tree.body if isinstance(node, ast.ClassDef) and (name := _name(node))]
    return found


def _name(kind: ast.ClassDef) -> str:
    """The `name` that a class gives itself; empty for none."""
    for line in kind.body:
        targets = (
            line.targets if isinstance(line, ast.Assign) else [line.target] if isinstance(line, ast.AnnAssign) else ()
        )
        named = any(isinstance(each, ast.Name) and each.id == "name" for each in targets)
        value = getattr(line, "value", None)
        if named and isinstance(value, ast.Constant) and isinstance(value.value, str):
            return value.value
    return ""
