"""What makes one repetition doubtful, in lines that its record keeps and the screen shows."""

from __future__ import annotations

from collections.abc import Iterator

from programs.bench.fields import Outcome, Resources

OTHER_LOAD_PCT = 10.0
HOT_C = 90.0
FREQ_SHARE = 0.8
SWAP_BYTES = 50 * 2**20
CLOCKS_SHARE, CLOCKS_NS = 0.1, 100_000_000
COUNT_SHARE, COUNT_TOKENS = 0.05, 4
SLEPT_S = 5.0


def warnings(outcome: Outcome, used: Resources) -> tuple[str, ...]:
    """The doubts about one repetition; none if all is well or unknown."""
    return tuple(_doubts(outcome, used))


def invalid(wall_s: float, monotonic_s: float) -> str | None:
    """Why a repetition is no measurement: the two clocks went apart, as when a laptop sleeps meanwhile."""
    if abs(wall_s - monotonic_s) <= SLEPT_S:
        return None
    return f"the machine slept, or its clock was set, meanwhile ({wall_s - monotonic_s:+.0f} s)"


def _doubts(o: Outcome, used: Resources) -> Iterator[str]:
    if (used.other_load_pct or 0) > OTHER_LOAD_PCT:
        yield f"other programs used {used.other_load_pct:.0f}% of a core"
    if (used.swap_delta_bytes or 0) > SWAP_BYTES:
        yield f"{(used.swap_delta_bytes or 0) / 1e6:.0f} MB went to swap: the memory is short"
    if used.on_battery:
        yield "on battery: many machines slow down"
    if used.throttled:
        yield "the processor slowed itself for heat"
    elif (used.temp_max_c or 0) > HOT_C:
        yield f"the processor was at {used.temp_max_c:.0f} °C"
    if used.cpu_freq_min and used.cpu_freq_mean and used.cpu_freq_min < FREQ_SHARE * used.cpu_freq_mean:
        yield f"the clock fell to {used.cpu_freq_min:.0f} MHz, mean {used.cpu_freq_mean:.0f}"
    if o.n_cached and o.n_prompt and 2 * o.n_cached > o.n_prompt:
        yield f"{o.n_cached} of {o.n_prompt} prompt tokens were cached: no prompt rate to speak of"
    if o.gen_ns and o.stream_ns and abs(o.stream_ns - o.gen_ns) > max(CLOCKS_SHARE * o.gen_ns, CLOCKS_NS):
        yield f"the engine says {o.gen_ns / 1e9:.2f} s of generation, the stream took {o.stream_ns / 1e9:.2f} s"
    counts = [n for n in (o.n_gen, o.n_gen_tokenizer) if n is not None]
    if len(counts) == 2 and abs(counts[0] - counts[1]) > max(COUNT_SHARE * counts[0], COUNT_TOKENS):
        yield f"the engine counts {o.n_gen} tokens, the model's tokenizer {o.n_gen_tokenizer}"
    if o.finish_reason == "aborted":
        yield "the engine ended the answer without a last line: it repeated itself"
