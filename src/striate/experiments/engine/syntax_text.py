"""The text of a definition: its syntax tree without what cannot change a number, and without names of others."""

from __future__ import annotations

import ast
import builtins
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from striate.experiments.engine.scopes import Origin, Reference, Scope, bound, is_left_out, reference_of

#: What a string looks like that names a module of striate, perhaps with one of its names.
MODULE_PATH = re.compile(r"striate(\.\w+)+(:\w+)?")
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)

_FILE_NAME = re.compile(r"[\w-]+(\.[\w-]+)+")
_SHOWN_BY = {"warn", "phase", "message"}  # methods whose strings are for people


@dataclass
class Definition:
    """What one name of a module stands for.

    Parameters
    ----------
    text : str
        Digest of the syntax tree.
    references : list of Reference
        In the order of the text.
    phases : list of str
        Digests of the names of its progress phases, which are not part of the text.
    files : list of str
        Strings that may be names of files.
    reads_phases, reads_folder, knows_subclasses : bool
        Whether the records of progress phases, files beside the module, or the subclasses of a class are read.
    """

    text: str = ""
    references: list[Reference] = field(default_factory=list)
    phases: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    reads_phases: bool = False
    reads_folder: bool = False
    knows_subclasses: bool = False


def text_of(
    own: str, statements: Sequence[ast.stmt], defined: set[str], imports: dict[str, list[Origin]]
) -> Definition:
    """Return a definition made of statements of a module.

    Parameters
    ----------
    own : str
        The name that the statements define.
    statements : sequence of ast.stmt
    defined : set of str
        All names that the module defines.
    imports : dict of str to list of Origin
        Those that it imports.
    """
    return _Reader(own, defined, imports).read(statements)


def _is_text(node: ast.AST) -> bool:
    """Whether an expression is surely a string: a message, where an error or a warning is made of it."""
    if isinstance(node, ast.Constant):
        return isinstance(node.value, str)
    if isinstance(node, ast.BinOp):
        return _is_text(node.left) or (isinstance(node.op, ast.Add) and _is_text(node.right))
    if isinstance(node, ast.IfExp):
        return _is_text(node.body) and _is_text(node.orelse)
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Attribute) and _is_text(node.func.value)
    return isinstance(node, ast.JoinedStr)


class _Reader:
    """Writes the text of one definition and collects what it refers to."""

    def __init__(self, own: str, defined: set[str], imports: dict[str, list[Origin]]) -> None:
        self.own = own
        self.defined = defined
        self.imports = imports
        self.scopes: list[Scope] = []
        self.others: dict[str, int] = {}
        self.tokens: list[str] = []
        self.made = Definition()

    def read(self, statements: Sequence[ast.stmt]) -> Definition:
        self.statements(statements)
        self.made.text = hashlib.sha256("\n".join(self.tokens).encode()).hexdigest()
        return self.made

    def write(self, node: object) -> None:
        """Write a node, a list of nodes or a plain value."""
        if isinstance(node, list):
            self.tokens.append("[")
            for item in node:
                self.write(item)
            self.tokens.append("]")
        elif not isinstance(node, ast.AST):
            self.tokens.append(repr(node))
        elif (special := getattr(self, f"write_{type(node).__name__}", None)) is not None:
            special(node)
        else:
            self.generic(node)

    def generic(self, node: ast.AST) -> None:
        self.tokens.append(f"({type(node).__name__}")
        for name, value in ast.iter_fields(node):
            if name in {"ctx", "type_comment", "kind", "type_params"} or value is None or value == []:
                continue
            self.tokens.append(name)
            if name in {"body", "orelse", "finalbody"} and isinstance(value, list):
                self.statements(value)
            else:
                self.write(value)
        self.tokens.append(")")

    def statements(self, nodes: Sequence[ast.AST]) -> None:
        self.tokens.append("{")
        for node in nodes:
            if isinstance(node, ast.Import | ast.ImportFrom | ast.Global | ast.Nonlocal):
                continue
            if isinstance(node, ast.stmt) and is_left_out(node):
                continue
            self.write(node)
        self.tokens.append("}")

    # Scopes

    def write_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> None:
        self.tokens.append(f"({type(node).__name__}")
        if not isinstance(node, ast.Lambda):
            self.write(node.decorator_list)
            self.binding(node.name)
        arguments = node.args
        self.write([*arguments.defaults, "|", *arguments.kw_defaults])
        groups = (arguments.posonlyargs, arguments.args, arguments.kwonlyargs)
        starred = [argument for argument in (arguments.vararg, arguments.kwarg) if argument is not None]
        self.tokens.append(repr([[argument.arg for argument in group] for group in groups]))
        self.tokens.append(repr([argument and argument.arg for argument in (arguments.vararg, arguments.kwarg)]))
        body: list[ast.AST] = [node.body] if isinstance(node, ast.Lambda) else list(node.body)
        scope = Scope(*bound(body), "function")
        scope.parameters = {argument.arg for group in (*groups, starred) for argument in group}
        self.inside(scope, body)

    write_AsyncFunctionDef = write_FunctionDef
    write_Lambda = write_FunctionDef

    def write_ClassDef(self, node: ast.ClassDef) -> None:
        self.tokens.append("(ClassDef")
        self.write(node.decorator_list)
        self.write(node.bases)
        self.write(node.keywords)
        self.binding(node.name)
        # Where a method stands in its class changes nothing.
        methods = sorted((part for part in node.body if isinstance(part, FUNCTIONS)), key=_name_of)
        others = [part for part in node.body if not isinstance(part, FUNCTIONS)]
        self.inside(Scope(*bound(node.body), "class"), [*others, *methods])

    def inside(self, scope: Scope, body: Sequence[ast.AST]) -> None:
        self.scopes.append(scope)
        self.statements(body)
        self.scopes.pop()
        self.tokens.append(")")

    def write_ListComp(self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp) -> None:
        self.tokens.append(f"({type(node).__name__}")
        first = node.generators[0]
        self.write(first.iter)  # belongs to the scope outside
        names = bound([generator.target for generator in node.generators])[0]
        parts: list[ast.AST] = [first.target, *first.ifs]
        for generator in node.generators[1:]:
            parts += [generator.iter, generator.target, *generator.ifs]
        self.tokens.append(repr([(len(generator.ifs), generator.is_async) for generator in node.generators]))
        parts += [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
        self.inside(Scope(names, {}, set(), "comprehension"), parts)

    write_SetComp = write_ListComp
    write_GeneratorExp = write_ListComp
    write_DictComp = write_ListComp

    # Names

    def binding(self, name: str) -> None:
        """Write a name that a statement binds."""
        scope = self.scopes[-1] if self.scopes else None
        if scope is None or name in scope.elsewhere:
            self.module_name(name, (), stored=True)
        elif scope.kind == "class":
            self.made.knows_subclasses |= name == "__init_subclass__"
            self.tokens.append(f"attribute {name}")
        else:
            self.name(name, ())

    def name(self, name: str, attributes: tuple[str, ...], *, stored: bool = False, changes: bool = False) -> bool:
        """Write a name; False where it is a local one, whose attributes are still to be written."""
        for depth in range(len(self.scopes) - 1, -1, -1):
            scope = self.scopes[depth]
            if name in scope.elsewhere:
                if any(name in outer.names for outer in self.scopes[:depth]):
                    continue  # nonlocal
                break
            if scope.kind == "class" and depth < len(self.scopes) - 1:
                continue
            if name in scope.imports:
                self.origins(scope.imports[name], attributes, changes)
                return True
            if name in scope.parameters:
                self.tokens.append(f"parameter {depth} {name}")
                return False
            if name in scope.names:
                if scope.kind == "class":
                    self.tokens.append(f"attribute {name}")
                else:
                    self.tokens.append(f"local {depth} {scope.numbers.setdefault(name, len(scope.numbers))}")
                return False
        return self.module_name(name, attributes, stored=stored, changes=changes)

    def module_name(
        self, name: str, attributes: tuple[str, ...], *, stored: bool = False, changes: bool = False
    ) -> bool:
        if name == self.own:
            self.tokens.append("itself")
            return False
        if stored and not self.scopes:
            self.tokens.append(f"other {self.others.setdefault(name, len(self.others))}")
            return False
        if name in self.defined:
            self.refer(Reference(name, attributes, changes or stored))
            return True
        if name in self.imports:
            self.origins(self.imports[name], attributes, changes)
            return True
        self.made.reads_folder |= name == "__file__"
        self.tokens.append(f"{'builtin' if hasattr(builtins, name) else 'unknown'} {name}")
        return False

    def origins(self, origins: Sequence[Origin], attributes: tuple[str, ...], changes: bool) -> None:
        for origin in origins:
            if _is_outside(origin):
                path = ".".join(part for part in (origin.module, origin.name, *attributes) if part)
                self.tokens.append(f"outside {path}")
            else:
                self.refer(Reference(origin, attributes, changes))

    def refer(self, reference: Reference) -> None:
        self.tokens.append("reference")
        self.made.references.append(reference)

    def write_Name(self, node: ast.Name) -> None:
        self.name(node.id, (), stored=not isinstance(node.ctx, ast.Load))

    def write_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        self.tokens.append("(ExceptHandler")
        self.write(node.type)
        if node.name:
            self.binding(node.name)
        self.statements(node.body)
        self.tokens.append(")")

    def write_Attribute(self, node: ast.Attribute, *, called: bool = False) -> None:
        self.made.reads_phases |= node.attr == "records"
        self.made.knows_subclasses |= node.attr == "__subclasses__"
        reference = reference_of(node)
        changes = called or not isinstance(node.ctx, ast.Load)
        if reference is None:
            self.generic(node)
            return
        mark = len(self.tokens)
        assert isinstance(reference.target, str)
        if self.name(reference.target, reference.attributes, changes=changes):
            return
        del self.tokens[mark:]
        self.generic(node)

    def write_Subscript(self, node: ast.Subscript) -> None:
        base = node.value
        if isinstance(base, ast.Name) and not isinstance(node.ctx, ast.Load):
            self.tokens.append("(Subscript")
            self.name(base.id, (), changes=True)
            self.write(node.slice)
            self.tokens.append(")")
        else:
            self.generic(node)

    # What is left out

    def write_AnnAssign(self, node: ast.AnnAssign) -> None:
        in_class = bool(self.scopes) and self.scopes[-1].kind == "class"
        if node.value is None and not in_class:
            return
        self.tokens.append("(AnnAssign" if in_class else "(Assign")  # in a class it may be a field of a dataclass
        if in_class:
            marks = re.findall(r"ClassVar|InitVar|KW_ONLY", ast.unparse(node.annotation))
            self.tokens.append(repr(marks))
            self.write(node.target)
            self.write(node.value)
        else:
            # As an assignment without the annotation.
            self.tokens.append("targets")
            self.write([node.target])
            self.tokens.append("value")
            self.write(node.value)
        self.tokens.append(")")

    def write_Raise(self, node: ast.Raise) -> None:
        self.tokens.append("(Raise")
        if isinstance(node.exc, ast.Call):
            self.call(node.exc, without_texts=True)
        elif node.exc is not None:
            self.write(node.exc)
        self.tokens.append(")")

    def write_Assert(self, node: ast.Assert) -> None:
        self.tokens.append("(Assert")
        self.write(node.test)
        self.tokens.append(")")

    def write_Call(self, node: ast.Call) -> None:
        self.call(node, without_texts=isinstance(node.func, ast.Attribute) and node.func.attr in _SHOWN_BY)

    def call(self, node: ast.Call, *, without_texts: bool) -> None:
        self.tokens.append("(Call")
        if isinstance(node.func, ast.Attribute):
            self.write_Attribute(node.func, called=True)
            if node.func.attr == "phase":
                self.made.phases += [_digest(part) for part in node.args[:1] if _is_text(part)]
        else:
            self.write(node.func)
        if "files" in {getattr(node.func, "attr", None), getattr(node.func, "id", None)}:
            self.made.reads_folder = True
            self.tokens.append(repr([ast.unparse(part) for part in node.args if not isinstance(part, ast.Constant)]))
        else:
            self.write([part for part in node.args if not (without_texts and _is_text(part))])
        keywords = [part for part in node.keywords if not (without_texts and _is_text(part.value))]
        self.write(keywords)
        self.tokens.append(")")

    def write_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, str):
            if MODULE_PATH.fullmatch(node.value):
                module, _, name = node.value.partition(":")
                self.refer(Reference(Origin(module, name or None)))
                return
            if _FILE_NAME.fullmatch(node.value):
                self.made.files.append(node.value)
        self.tokens.append(f"constant {node.value!r}")


def _name_of(node: ast.AST) -> str:
    return str(getattr(node, "name", ""))


def _is_outside(origin: Origin) -> bool:
    return origin.level == 0 and origin.module.partition(".")[0] != "striate"


def _digest(node: ast.AST) -> str:
    return hashlib.sha256(ast.dump(node).encode()).hexdigest()
