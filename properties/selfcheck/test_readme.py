"""What the README says is true: its links, its options, its counts, its example and the message that this gets.

    python -m properties.selfcheck.test_readme

prints the README's table of properties anew.
"""

from __future__ import annotations

import functools
import importlib
import os
import re
import shlex
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from oracles.case import OPERATIONS
from properties.laws import LEVELS, Law

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")
MESSAGE = "mine.py: conv2d differs"


def page(name: str = "README.md") -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def blocks(language: str, name: str = "README.md") -> list[str]:
    """Cut out the blocks of code in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page(name), flags=re.MULTILINE | re.DOTALL)


def block(language: str, beginning: str) -> str:
    """Find the one block of code that holds some words."""
    found = [each for each in blocks(language) if beginning in each]
    assert len(found) == 1, f"{len(found)} blocks of {language} hold {beginning!r}"
    return found[0]


def prose(text: str) -> str:
    """Leave out the blocks of code."""
    return re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


def command(module: str, *arguments: str, directory: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run `python -m module` as a user does, whatever pytest this runs in."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    environment |= {"PYTHONIOENCODING": "utf-8", "COLUMNS": "80"}
    line = [sys.executable, "-m", module, *arguments]
    return subprocess.run(line, cwd=directory, env=environment, capture_output=True, text=True, check=False)


# links


def anchor(heading: str) -> str:
    """Name a heading as GitHub does."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")


@pytest.mark.parametrize("name", PAGES)
def test_every_link_leads_somewhere(name):
    """Files and folders are there, and headings that are linked to."""
    links = re.findall(r"\]\(([^)\s]+)\)", prose(page(name)))
    assert links
    for link in links:
        path, _, heading = link.partition("#")
        if "://" in link:
            continue
        assert (ROOT / path).exists(), link
        if heading:
            headings = re.findall(r"^#+ (.+)$", page(path or name), flags=re.MULTILINE)
            assert heading in map(anchor, headings), link


# commands


def commands(name: str) -> list[list[str]]:
    """Split every command that a page shows, in its blocks of code and between backticks, into words."""
    text = page(name)
    fenced = re.findall(r"^```(?:\w*)\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    lines = "".join(fenced).split("\n") + re.findall(r"`([^`\n]+)`", prose(text))
    found = []
    for line in lines:
        shown = re.sub(r"^\s*(\$|run:|- run:)?\s*", "", line)
        if re.match(r"(pytest|make|python -m) ", shown):
            found.append(shlex.split(shown, comments=True))
    return found


@functools.cache
def help_of(*program: str) -> str:
    """Ask a program for its --help."""
    shown = command(*program, "--help")
    assert shown.returncode == 0, shown.stderr
    return shown.stdout


def options(*program: str) -> set[str]:
    """Read the options that a program's --help names."""
    return set(re.findall(r"(?<![\w-])--?[a-zA-Z][\w-]*", help_of(*program)))


@pytest.mark.parametrize("name", PAGES)
def test_every_option_exists(name):
    """Each is named by the --help of its program, each target by the Makefile, each path is there."""
    targets = re.findall(r"^(\w+):", page("Makefile"), flags=re.MULTILINE)
    variables = re.findall(r"^(\w+) +\?=", page("Makefile"), flags=re.MULTILINE)
    for words in commands(name):
        if words[0] == "make":
            assert {word for word in words[1:] if "=" not in word} <= set(targets), words
            assert {word.partition("=")[0] for word in words[1:] if "=" in word} <= set(variables), words
            continue
        judged = "bench/" if "bench/" in words else "properties/"
        program = ("pytest", judged) if "pytest" in words else (words[2],)
        for word in words[1:] if words[0] == "pytest" else words[3:]:
            option = word.partition("=")[0]
            if re.match(r"--?[a-zA-Z]", word):
                assert option in options(*program), shlex.join(words)
        for path in [word.partition("::")[0] for word in words if word.startswith(("properties/", "--impl=examples/"))]:
            assert (ROOT / path.removeprefix("--impl=").partition(":")[0]).exists(), shlex.join(words)


def test_there_are_commands_to_check():
    """The pattern that finds them has not gone blind."""
    found = [" ".join(words) for words in commands("README.md")]
    for shown in ("make verify", "make test", "pytest properties/ --impl=mine.py", "python -m reports"):
        assert any(line.startswith(shown) for line in found), shown


def test_the_options_are_quoted_as_help_shows_them():
    """Word for word."""
    shown = help_of("pytest", "properties/")
    ours = shown[shown.index("\nPoolproof:\n") + 1 :].split("\n\n")[0]
    assert ours.strip() == block("text", "--impl=SPEC").strip()


def test_the_profiles_and_levels_are_those_there_are():
    """Named in conftest.py and in properties/laws.py."""
    known = set(re.findall(r'register_profile\(\s*"(\w+)"', page("conftest.py")))
    named = set(re.findall(r"--hypothesis-profile=(\w+)", page()))
    assert named <= known
    assert known - {"poolproof"} <= named  # the usual one need not be asked for
    for level in LEVELS:
        assert f"`{level}`" in page(), level


# counts


def table() -> str:
    """Count the properties of each level by operation, as a table in Markdown."""
    files = sorted((ROOT / "properties").glob("test_*.py"))
    modules = [importlib.import_module(f"properties.{file.stem}") for file in files]
    laws: list[Law] = [found.law for module in modules for found in vars(module).values() if hasattr(found, "law")]
    counts = Counter((law.level, operation) for law in laws for operation in law.operations)
    lines = ["| | " + " | ".join(f"`{level}`" for level in LEVELS) + " |", "|---|" + "--:|" * len(LEVELS)]
    for operation in OPERATIONS:
        cells = (str(counts[level, operation] or "") for level in LEVELS)
        lines.append(f"| `{operation}` | " + " | ".join(cells) + " |")
    total = sum(counts.values())
    return "\n".join([*lines, "", f"{len(laws)} properties, {total} with the operations told apart."])


def test_the_table_counts_the_properties_there_are():
    """If not: python -m properties.selfcheck.test_readme prints it anew."""
    assert table() in page(), table()


# the example


@pytest.fixture(scope="module")
def mine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the README's file, as it stands there, into a folder of its own."""
    file = tmp_path_factory.mktemp("yours") / "mine.py"
    file.write_text(block("python", "def conv2d("), encoding="utf-8")
    return file


def judged(file: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the suite on a file from the folder in which it lies, with time enough on a busy machine."""
    own = (f"--impl={file.name}", "--hypothesis-profile=ci", "--budget=600", f"--results={file.parent / 'results'}")
    return command("pytest", *arguments, *own, directory=file.parent)


def plain(message: str) -> str:
    """Take out what depends on where the files and the clone lie."""
    message = re.sub(r"run_path\('.*?mine\.py'\)", "run_path('mine.py')", message)
    message = message.replace(f"{ROOT}/", "")
    return "\n".join(line.rstrip() for line in message.strip().split("\n"))


def test_the_example_gets_the_message_that_is_quoted(mine):
    """The case that the message quotes gives the whole message, but for the path of the file."""
    quoted = block("text", MESSAGE).partition(f"{MESSAGE}\n")
    case = re.search(r"--case='([^']+)'", quoted[2])
    assert case is not None
    run = judged(mine, f"{ROOT}/properties/test_values.py", "-k", "exactly", f"--case={case[1]}")
    assert run.returncode == 1, run.stdout + run.stderr
    assert plain("".join(quoted[1:])) in plain(run.stdout), run.stdout


def test_the_example_fails_first_where_the_page_says_so(mine):
    """Nothing but its own line of command is needed, and the first property finds it."""
    run = judged(mine, f"{ROOT}/properties/", "-x")
    assert run.returncode == 1, run.stdout + run.stderr
    assert MESSAGE in run.stdout
    assert run.stdout.index("test_output_equals_the_definition_exactly") < run.stdout.index("elements of y differ")
    for part in ("  got    ", "  want   ", "nothing else will do", "run this case again:", "see it alone:"):
        assert part in run.stdout, part


def test_the_script_of_the_message_runs_alone(mine):
    """It needs NumPy and the file, and prints what was got beside what should be."""
    script = plain(block("text", MESSAGE)).partition("see it alone:\n")[2]
    code = "\n".join(line.removeprefix("  ") for line in script.split("\n"))
    run = subprocess.run([sys.executable, "-c", code], cwd=mine.parent, capture_output=True, text=True, check=False)
    got = re.search(r"^  got +(\S+)$", block("text", MESSAGE), flags=re.MULTILINE)
    want = re.search(r"^  want +(\S+)$", block("text", MESSAGE), flags=re.MULTILINE)
    assert got is not None
    assert want is not None
    assert [float(word) for word in re.findall(r"-?[\d.]+", run.stdout)] == [float(got[1]), float(want[1])], run.stderr


def test_the_example_is_right_without_its_fault(mine):
    """As the page says: the line that flips the filter is all that is wrong with its values."""
    text = mine.read_text(encoding="utf-8")
    sound = mine.with_name("sound.py")
    sound.write_text("\n".join(line for line in text.split("\n") if "flips" not in line), encoding="utf-8")
    assert sound.read_text(encoding="utf-8") != text
    run = judged(sound, f"{ROOT}/properties/test_values.py", f"{ROOT}/properties/test_shape.py")
    assert run.returncode == 0, run.stdout


# the workflow


def test_the_workflow_is_yaml():
    """Parsed where PyYAML is there; else at least without tabs, of pairs and items, and with the steps it needs."""
    text = block("yaml", "jobs:")
    assert "\t" not in text
    for line in filter(str.strip, text.split("\n")):
        assert (len(line) - len(line.lstrip())) % 2 == 0, line
    try:
        import yaml
    except ModuleNotFoundError:
        assert re.search(r"^jobs:\n  \w+:\n    runs-on: ", text, flags=re.MULTILINE)
        assert text.count("- uses: actions/checkout@") == 2
        return
    (job,) = yaml.safe_load(text)["jobs"].values()
    assert any("--junit-xml=" in step.get("run", "") for step in job["steps"])
    assert any("GITHUB_STEP_SUMMARY" in step.get("run", "") for step in job["steps"])


# the rest


@pytest.mark.parametrize("name", PAGES)
def test_the_python_shown_compiles(name):
    """Every block of Python, which in CONTRIBUTING.md may be a part of a file."""
    for code in blocks("python", name):
        compile(code, name, "exec")


def test_the_picture_is_that_of_the_page():
    """It is SVG, has words for those who do not see it, and is small."""
    text = page("reports/matrix.svg")
    assert text.startswith("<svg")
    assert 'aria-label="' in text
    assert len(text) < 100_000
    assert "(reports/matrix.svg)" in page()


if __name__ == "__main__":
    print(table())
