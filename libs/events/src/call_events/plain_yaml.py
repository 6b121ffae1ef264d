"""Plain YAML: mappings, lists and values, read so that every fault has a line."""

from typing import Any

import yaml

#: Nothing we read lies deeper; PyYAML itself would run out of stack far below what a file can nest.
_DEEPEST = 20


class _Loader(yaml.SafeLoader):
    """A value that is no value of its kind (a 13th month) is told with its place, like any other fault."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (ValueError, AttributeError, LookupError, ArithmeticError):
            kind = node.tag.rpartition(":")[2]
            raise _fault(f"this is no {kind}; if it is meant as text put it in quotes", node.start_mark) from None

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """A merge would bring in keys that stand nowhere to be compared."""
        for key, _ in node.value:
            if key.tag == "tag:yaml.org,2002:merge":
                raise _fault("a merge (<<) is not taken here, write out what it brings in", key.start_mark)
        super().flatten_mapping(node)


def read_yaml(text: str) -> tuple[yaml.Node | None, Any]:
    """The document as nodes, which know their lines, and as values.

    Raises:
        yaml.MarkedYAMLError: it is no YAML, or more than plain YAML: nested without end, or referring to itself. Its
            ``problem`` is one line, and its ``problem_mark`` the place.
    """
    try:
        _check_shape(text)
        loader = _Loader(text)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position)
        raise _fault("a character that no text has", yaml.Mark("", error.position, line, 0, None, 0)) from None
    try:
        node = loader.get_single_node()
        return node, loader.construct_document(node) if node is not None else None
    finally:
        loader.dispose()


def _check_shape(text: str) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent):
            raise _fault("an alias (*) is not taken here, write out what it stands for", event.start_mark)
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEEPEST:
            raise _fault("this is nested too deep", event.start_mark)


def _fault(problem: str, mark: Any) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=mark)
