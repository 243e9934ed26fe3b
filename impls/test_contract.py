"""The contract is told once, and a declaration that makes no sense is refused with what would make sense."""
# mypy: allow-untyped-defs, allow-untyped-calls

import inspect
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest

from impls.contract import ARRAYS, OPERATIONS, Contract, Declarations, parse_winograd


def read(**attributes):
    return Declarations.read(SimpleNamespace(**attributes))


def test_every_operation_has_a_signature_in_the_contract():
    written = [name for name, value in vars(Contract).items() if isinstance(value, staticmethod)]
    assert written == [*OPERATIONS, "prepare", "supports"]


@pytest.mark.parametrize("operation", OPERATIONS)
def test_the_arrays_of_an_operation_are_its_parameters_annotated_as_such(operation):
    parameters = inspect.signature(getattr(Contract, operation)).parameters.values()
    assert ARRAYS[operation] == tuple(p.name for p in parameters if p.annotation.startswith("Array"))


def test_what_declares_nothing_has_the_defaults():
    assert read() == Declarations()
    assert read(dtype="float32", debug=True) == Declarations()


def test_dtypes_may_be_strings_dtypes_or_types():
    assert read(dtypes=["float64", np.float32, np.dtype("float16")]).dtypes == ("float16", "float32", "float64")


def test_a_storage_format_comes_in_float32_arrays():
    assert read(storage="bfloat16").dtypes == ("float32",)
    with pytest.raises(ValueError, match=r"dtypes = \('float64',\) with storage = 'bfloat16'.*must be \('float32',\)"):
        read(storage="bfloat16", dtypes=["float64"])


def test_limits_are_sorted_tuples():
    assert read(limits={"F": [5, 3, 5], "G": range(1, 3)}).limits == {"F": (3, 5), "G": (1, 2)}


def test_declarations_can_be_keys():
    assert len({read(limits={"F": [3]}), read(limits={"F": [3]})}) == 1


def test_winograd_is_read_as_tile_filter_and_points():
    read_back = parse_winograd(read(accuracy="winograd(4,3; 0,1,-1,2,-1/2)").accuracy)
    assert (read_back.tile, read_back.filter) == (4, 3)
    assert read_back.points == tuple(map(Fraction, ("0", "1", "-1", "2", "-1/2")))


def test_one_that_chooses_among_transforms_names_them():
    assert read(accuracy="winograd(2,3; 0,1,-1) or fft").accuracy == "winograd(2,3;0,1,-1) or fft"


@pytest.mark.parametrize(
    ("attribute", "value", "message"),
    [
        ("name", 3, "name = 3: accepted is a string"),
        ("version", (1, 2), r"version = \(1, 2\): accepted is a string"),
        ("dtypes", "float32", "dtypes = 'float32': accepted is a list with some of float16, float32, float64"),
        ("dtypes", ["flaot32"], r"dtypes = 'flaot32': .*did you mean 'float32'\?"),
        ("dtypes", [np.int32], "dtypes = 'int32': accepted is one of 'float16', 'float32', 'float64'"),
        ("dtypes", [object()], "dtypes = '<object"),
        ("dtypes", [], "at least one of float16"),
        ("storage", "bf16", "storage = 'bf16': accepted is one of '', 'bfloat16', 'float16'"),
        ("accumulator", "float8", "accumulator = 'float8': .*'float16', 'bfloat16', 'float32', 'float64'"),
        ("deterministic", "no", "deterministic = 'no': accepted is True or False"),
        ("layouts", "contigous", r"layouts = 'contigous': .*did you mean 'contiguous'\?"),
        (
            "conventions",
            "max_drops_nan",
            "conventions = 'max_drops_nan': accepted is a list with some of max_drops_nan",
        ),
        ("conventions", ["max_drop_nan"], r"conventions = 'max_drop_nan': .*did you mean 'max_drops_nan'\?"),
        ("conventions", ["max_drops_nan", "max_orders_nan"], "accepted is one of max_drops_nan, max_keeps_first_nan"),
        ("accuracy", "exact", "accuracy = 'exact': accepted is one of 'direct', 'fft', 'tf32', 'winograd"),
        ("accuracy", "winograd(4,3)", r"accepted is 'winograd\(TILE,F;points\)', e.g."),
        ("accuracy", "winograd(0,3;0)", "TILE and F must be at least 1"),
        ("accuracy", "winograd(2,3;0,1,x)", "points are fractions"),
        ("accuracy", "winograd(2,3;0,1,1/0)", "points are fractions"),
        ("accuracy", "winograd(4,3;0,1,-1)", r"F\(4,3\) has 5 distinct finite points .*not 3"),
        ("accuracy", "winograd(2,3;0,1,1)", "not 3 with 2 distinct"),
        ("accuracy", "fft or tf32", "accuracy = 'fft or tf32': accepted with 'or' are 'fft' and one 'winograd"),
        ("accuracy", "fft or winograd(4,3)", r"accepted is 'winograd\(TILE,F;points\)', e.g."),
        ("limits", [3], r"limits = \[3\]: accepted is a dict of letters"),
        ("limits", {"f": [3]}, "a letter of limits = 'f': accepted is one of 'N', 'C'"),
        ("limits", {"F": 3}, r"limits\['F'\] = 3: accepted is a list of integers from 1 to 64$"),
        ("limits", {"F": "3"}, r"limits\['F'\] = '3': accepted is a list of integers from 1 to 64$"),
        ("limits", {"G": [True]}, r"limits\['G'\] = \[True\]: accepted is a list of integers from 1 to 256$"),
        ("limits", {"S": [0]}, "limits\\['S'\\] = \\[0\\]: accepted is a list of integers from 1 to 256"),
        ("limits", {"P": []}, "integers from 0 to 256"),
        ("limit", {"F": [3]}, r"limit = {'F': \[3\]}: did you mean limits\?"),
        ("option", ["ceil_mode"], "did you mean options"),
        ("limits", {"F": [1000]}, "integers from 1 to 64"),
        ("limits", {"N": [0]}, "an empty batch shows nothing"),
        ("options", "ceil_mode", "options = 'ceil_mode': accepted is a list with some of asymmetric_padding"),
        ("options", ["ceilmode"], r"options = 'ceilmode': .*did you mean 'ceil_mode'\?"),
    ],
)
def test_a_declaration_that_makes_no_sense_is_refused(attribute, value, message):
    with pytest.raises(ValueError, match=message):
        read(**{attribute: value})


def test_what_is_declared_beyond_the_defaults_is_told():
    told = read(name="mine", accuracy="fft", limits={"S": [2, 1], "F": [3]}, deterministic=False).told()
    assert told == {"accuracy": "fft", "limits": "S 1, 2; F 3", "deterministic": "False"}
    assert Declarations().told() == {}
