"""The part of the bench that compares the work tree with a git revision.

Both gateways are run from their folders by the same interpreter, with the same
configuration, and stay up. Which of them goes first changes from round to round.
"""

from __future__ import annotations

from pathlib import Path

from bench.run import Run, say
from bench.scenarios import REVISION, THIS_TREE
from bench.trees import ROOT, Tree, checkout, commit


def against(run: Run, revision: str, root: Path = ROOT) -> None:
    """Measure both in turn. Raises Failed when one of them cannot be run."""
    name = commit(revision, root)
    run.results.against = name if revision == name else f"{name} ({revision})"
    this_tree = Tree(root)
    this_tree.verify()
    with checkout(revision, root) as that_tree:
        say(f"{run.results.against} in {that_tree.folder}")
        serve = run.gateways.serve
        with (
            serve(THIS_TREE.engine, tree=this_tree) as this,
            serve(REVISION.engine, tree=that_tree) as that,
        ):
            run.in_turn([(THIS_TREE, this), (REVISION, that)], alternate=True)
