"""A fine-tuned model behind an OpenAI-compatible server (vLLM, SGLang, llama.cpp, …) answers questions.

Requests, their faults and what is made again are those of the prompt track; the messages are those of training.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import anyio
from inspect_ai.model import ChatMessage, ChatMessageSystem, ChatMessageUser

from perturbarena import __version__
from perturbarena.challenge.records import Question, Questions
from perturbarena.tracks.finetune.chat import ChatPrompt
from perturbarena.tracks.finetune.inference import InferenceSettings
from perturbarena.tracks.finetune.runner import Work
from perturbarena.tracks.prompt.calls import Caller
from perturbarena.tracks.prompt.settings import PromptSettings
from perturbarena.tracks.running.endpoint import Transport, full_model_name
from perturbarena.tracks.running.model import build_model
from perturbarena.tracks.running.server import PATIENCE, Server


class ServerModel:
    """The model of a server, which answers the questions of one run."""

    def __init__(
        self,
        model: str,
        chat: ChatPrompt,
        settings: InferenceSettings,
        transport: Transport,
        *,
        patience: float = PATIENCE,
    ) -> None:
        self._chat, self._transport, self._patience = chat, transport, patience
        self._settings = _as_prompt_settings(settings, model, transport)

    def answer(self, questions: Questions, work: Work) -> None:
        """Ask what is left with every seed; returns when all calls have ended.

        Raises
        ------
        ModelServerError
            If the server refuses every call, or does not send the log probabilities that were asked for.
        """
        server = Server(self._transport, counts=work.progress.counts, patience=self._patience)
        left = iter([question for question in questions if work.is_left(question)])
        try:
            anyio.run(self._answer, left, work, server)
        except BaseExceptionGroup as group:
            raise (server.fatal or group) from None

    def as_json(self) -> dict[str, Any]:
        """How it was reached, for the manifest."""
        import platform

        import inspect_ai

        return {
            "transport": asdict(self._transport),
            "served_as": self._settings.model_name,
            "versions": {
                "perturbarena": __version__,
                "inspect_ai": inspect_ai.__version__,
                "python": platform.python_version(),
            },
        }

    async def _answer(self, left: Iterator[Question], work: Work, server: Server) -> None:
        """Workers that take one question after another from the same iterator."""
        settings = self._settings
        caller = Caller(settings, server)
        async with build_model(settings, self._transport, logprobs=settings.answers == "logprobs") as model:

            async def answer() -> None:
                for question in left:
                    known = {call["seed"]: call for call in work.kept(question)}
                    seeds = [seed for seed in settings.seeds if seed not in known]
                    records = await caller.ask(model, self._messages(question), id_=question.id, seeds=seeds)
                    known |= {record.seed: record.as_json() for record in records}
                    work.done(question, chat_text(self._chat, question), [known[seed] for seed in settings.seeds])

            async with anyio.create_task_group() as group:
                for _ in range(self._transport.concurrency):
                    group.start_soon(answer)

    def _messages(self, question: Question) -> list[ChatMessage]:
        makes = {"system": ChatMessageSystem, "user": ChatMessageUser}
        return [makes[message["role"]](content=message["content"]) for message in self._chat.messages(question)]


def chat_text(chat: ChatPrompt, question: Question) -> str:
    """The messages as text, for traces: the server puts its own chat template around them."""
    return "\n\n".join(message["content"] for message in chat.messages(question))


def _as_prompt_settings(settings: InferenceSettings, model: str, transport: Transport) -> PromptSettings:
    assert settings.answers != "likelihood", "resolve_inference refuses this"
    return PromptSettings(
        challenge=settings.challenge,
        track=settings.track,
        model=full_model_name(model, base_url=transport.base_url, fixed=None),
        temperature=settings.temperature,
        top_p=settings.top_p,
        ranked=settings.ranked,
        max_completion_tokens=settings.max_new_tokens,
        unanswered=settings.unanswered,
        answers=settings.answers,
        seeds=settings.seeds,
        retries=0,  # an answer that nobody can read stays one: its tokens were written, and count
    )
