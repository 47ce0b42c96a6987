"""Between a cascade's two trainings: every site looks where the first network is wrong."""

from __future__ import annotations

from collections.abc import Generator, Mapping

from common.learning.model import NETWORK
from common.wire.messages import MiningReply, MiningRequest
from server.rounds.phase import Exchange, Phase
from server.run.run_state import RunState


class MiningPhase(Phase):
    """One exchange: the global first network out, how many voxels it gets wrong back.

    The voxels stay at the sites: each trains the second network on its own, and a site that does
    not answer here searches when it trains. So no number of replies is needed.
    """

    name = "mining"

    def round(self, state: RunState) -> Generator[Exchange, None, RunState]:
        """The state as it was."""
        parameters = {
            name: array for name, array in state.parameters.items() if name.startswith(NETWORK)
        }

        def accumulate(site: str, reply: MiningReply) -> Mapping[str, object]:
            return {"n_cases": reply.n_cases, "n_negatives": reply.n_negatives}

        yield Exchange(
            request=lambda assignment: MiningRequest(
                assignment=assignment, template=state.template, parameters=parameters
            ),
            reply=MiningReply,
            accumulate=accumulate,
            roles=("train",),
            quorum=0,
        )
        return state
