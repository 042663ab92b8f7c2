"""The generator of the API's types, without a VirtualBox: what it refuses, and what it writes."""

from __future__ import annotations

import ast
import struct
from pathlib import Path

import pytest

import vboxkit
from vboxkit.com import generate, stub, typelib, wsdl
from vboxkit.com.installation import Installation
from vboxkit.com.typelib import Interface, Method, Parameter, Type
from vboxkit.errors import SetupError

STRING, NUMBER = Type("str"), Type("int")


def given(type_: Type) -> Parameter:
    """Make an argument."""
    return Parameter(type_, given=True, returned=False)


def returned(type_: Type) -> Parameter:
    """Make a return value."""
    return Parameter(type_, given=False, returned=True)


def out(type_: Type) -> Parameter:
    """Make an out-parameter."""
    return Parameter(type_, given=False, returned=False)


def getter(name: str, type_: Type) -> Method:
    """Make the reading half of an attribute."""
    return Method(name, getter=True, setter=False, parameters=(returned(type_),))


def setter(name: str, type_: Type) -> Method:
    """Make the writing half of an attribute."""
    return Method(name, getter=False, setter=True, parameters=(given(type_),))


def method(name: str, *parameters: Parameter) -> Method:
    """Make a method."""
    return Method(name, getter=False, setter=False, parameters=parameters)


def text(*methods: Method, described: str) -> str:
    """Return what is written of an interface ``ILamp`` that the service describes like that."""
    interface = Interface("ILamp", "nsISupports", methods)
    colours = Interface("Colour", "nsISupports", (), {"Red": 1, "Blue": 16})
    source = WSDL.replace("<!-- here -->", described).encode()
    lines = stub.render("7.9.9", {"ILamp": interface, "Colour": colours}, wsdl.parse(source))
    return "\n".join(lines)


WSDL = """<?xml version="1.0"?>
<wsdl:definitions xmlns:wsdl="http://schemas.xmlsoap.org/wsdl/"
 xmlns:xsd="http://www.w3.org/2001/XMLSchema" xmlns:vbox="http://www.virtualbox.org/">
 <wsdl:types><xsd:schema>
  <!-- enum: Colour -
       Red: 1 -
       Blue: 0x10 -
       -->
  <!-- here -->
 </xsd:schema></wsdl:types>
</wsdl:definitions>"""


def operation(kind: str, name: str, call: str, arguments: str = "", results: str = "") -> str:
    """Describe an operation as the web service does; pairs ``name type`` with commas between."""

    def fields(pairs: str) -> str:
        found = [pair.split() for pair in pairs.split(",") if pair]
        return "".join(f'<xsd:element name="{n}" type="{t}"/>' for n, t in found)

    return (
        f"<!-- {kind} ILamp::{name}-->"
        f'<xsd:element name="ILamp_{call}"><xsd:complexType><xsd:sequence>'
        f'<xsd:element name="_this" type="xsd:string"/>{fields(arguments)}'
        f"</xsd:sequence></xsd:complexType></xsd:element>"
        f'<xsd:element name="ILamp_{call}Response"><xsd:complexType><xsd:sequence>{fields(results)}'
        f"</xsd:sequence></xsd:complexType></xsd:element>"
    )


NAME = operation("readonly attribute", "name", "getName", results="returnval xsd:string")
COLOUR = operation("read/write attribute", "colour", "getColour", results="returnval vbox:Colour")
NAMES = operation("read/write attribute", "names", "getNames", results="returnval xsd:string")
MIX = operation(
    "method",
    "mix",
    "mix",
    "from vbox:Colour,times xsd:unsignedInt",
    "left xsd:unsignedInt,returnval vbox:Colour",
)


def test_attributes_methods_and_enumerations() -> None:
    """Each in its form: read-only, to be set, an array, arguments, results in Python's order."""
    array = Type("array", item=STRING)
    written = text(
        getter("name", STRING),
        getter("colour", NUMBER),
        setter("colour", NUMBER),
        method("getNames", returned(array)),
        method("setNames", given(array)),
        method("mix", given(NUMBER), given(NUMBER), out(NUMBER), returned(NUMBER)),
        described=NAME + COLOUR + NAMES + MIX,
    )
    assert '"""Red 1, Blue 16."""' in written
    assert 'ColourName: TypeAlias = Literal["Red", "Blue"]' in written
    assert "    @property\n    def name(self) -> str: ..." in written
    assert "    colour: Colour\n" in written
    assert "def getNames(self) -> list[str]: ..." in written
    assert "def setNames(self, value: _Array[str], /) -> None: ..." in written
    assert "def mix(self, from_: Colour, times: int, /) -> tuple[Colour, int]: ..." in written
    assert "VirtualBox 7.9.9" in written.splitlines()[1]
    ast.parse(written)


def test_what_the_service_leaves_out_has_numbered_arguments() -> None:
    """Raw memory cannot be passed by the service; the type library knows it all the same."""
    written = text(
        getter("name", STRING), method("shine", given(NUMBER), given(STRING)), described=NAME
    )
    assert "def shine(self, arg1: int, arg2: str, /) -> None: ..." in written


def test_names_that_hide_types_are_no_matter() -> None:
    """A method called ``list`` and an attribute called as its own type leave the types usable."""
    array = Type("array", item=NUMBER)
    described = NAME + operation(
        "read/write attribute", "Colour", "getColour", results="returnval vbox:Colour"
    )
    written = text(
        getter("name", STRING),
        getter("Colour", NUMBER),
        setter("Colour", NUMBER),
        method("list", returned(array)),
        described=described,
    )
    assert "from builtins import list as _list" in written
    assert "_Colour: TypeAlias = Colour" in written
    assert "    Colour: _Colour\n" in written
    assert "def list(self) -> _list[int]: ..." in written


@pytest.mark.parametrize(
    ("methods", "described", "problem"),
    [
        ([], NAME, "ILamp::name is an attribute, and is missing from the library"),
        ([getter("name", STRING)], MIX, "ILamp::mix is a method, and is missing"),
        ([getter("colour", NUMBER)], COLOUR, "ILamp::colour can be set according to one of them"),
        ([method("mix", given(NUMBER))], MIX, "ILamp::mix has 2 arguments and 2 results"),
    ],
)
def test_descriptions_that_disagree_are_refused(
    methods: list[Method], described: str, problem: str
) -> None:
    """The error names the member and both sides; nothing is guessed."""
    with pytest.raises(SetupError) as caught:
        text(*methods, described=described)
    assert problem in str(caught.value)
    assert "the same version" in str(caught.value)


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        (b"not XML", "no XML"),
        (b"<a/>", "has no types"),
        (WSDL.replace("enum: Colour", "x").encode(), "nothing of VirtualBox"),
    ],
)
def test_other_descriptions_are_refused(source: bytes, problem: str) -> None:
    """What is not the web service's is a typed error."""
    with pytest.raises(SetupError, match=problem):
        wsdl.parse(source)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"something else",
        b"XPCOM\nTypeLib\r\n\x1a",
        b"XPCOM\nTypeLib\r\n\x1a" + struct.pack(">BBHIII", 1, 2, 9, 99, 34, 99),
    ],
)
def test_other_type_libraries_are_refused(tmp_path: Path, content: bytes) -> None:
    """Empty, of another kind, cut off in its head or in its directory."""
    file = tmp_path / "some.xpt"
    file.write_bytes(content)
    with pytest.raises(SetupError, match=r"some\.xpt is no type library of XPCOM"):
        typelib.read(file)


def test_a_missing_type_library_says_where_it_comes_from(tmp_path: Path) -> None:
    """The error names the file and the remedy."""
    with pytest.raises(SetupError, match=r"cannot read the type library .*/none\.xpt") as caught:
        typelib.read(tmp_path / "none.xpt")
    assert "it comes with VirtualBox" in str(caught.value)


def test_an_installation_without_the_service(tmp_path: Path) -> None:
    """The error names the folder and says what to do."""
    with pytest.raises(SetupError, match="without its web service, vboxwebsrv") as caught:
        generate.service_description(Installation(tmp_path))
    assert str(tmp_path) in str(caught.value)
    assert "--wsdl" in str(caught.value)


def test_the_command_reports_an_error_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 1 and a line, for a file that is not there."""
    output = tmp_path / "out.pyi"
    arguments = ["--wsdl", str(tmp_path / "none"), "--output", str(output)]
    assert generate.main(arguments) == 1
    assert "none" in capsys.readouterr().err
    assert not output.exists()


def test_what_may_be_empty_exists() -> None:
    """The tables of what may be `None` name members and arguments that there are."""
    source = (Path(vboxkit.__file__).parent / "com" / "interfaces.pyi").read_text(encoding="utf-8")
    classes = {n.name: n for n in ast.parse(source).body if isinstance(n, ast.ClassDef)}
    for entry in [*stub.NULLABLE_RESULTS, *stub.NULLABLE_ARGUMENTS]:
        interface, member, *argument = entry.split(".")
        found = [
            item
            for item in classes[interface].body
            if member in {getattr(item, "name", ""), getattr(getattr(item, "target", 0), "id", "")}
        ]
        assert found, entry
        assert "None" in ast.unparse(found[0]), entry
        for name in argument:
            assert f"{name}: " in ast.unparse(found[0]), entry
