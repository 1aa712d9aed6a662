"""What makes one repetition doubtful, in lines that its record keeps and the screen shows."""

from __future__ import annotations

from programs.bench.fields import Outcome, Resources

OTHER_LOAD_PCT = 10.0
HOT_C = 90.0
FREQ_SHARE = 0.8
SWAP_BYTES = 50 * 2**20
CLOCKS_SHARE = 0.1
CLOCKS_NS = 100_000_000
COUNT_SHARE = 0.05
COUNT_TOKENS = 4
SLEPT_S = 5.0


def warnings(outcome: Outcome, used: Resources) -> tuple[str, ...]:
    """The doubts about one repetition; none if all is well or unknown."""
    found = [*_machine(used), *_figures(outcome)]
    return tuple(found)


def invalid(wall_s: float, monotonic_s: float) -> str | None:
    """Why a repetition is no measurement: the two clocks went apart, as when a laptop sleeps meanwhile."""
    if abs(wall_s - monotonic_s) <= SLEPT_S:
        return None
    return f"the machine slept, or its clock was set, meanwhile ({wall_s - monotonic_s:+.0f} s)"


def mostly_cached(outcome: Outcome) -> bool:
    """Whether more than half of the prompt was not computed: its rate is that of a token or two then."""
    return bool(outcome.n_cached and outcome.n_prompt and 2 * outcome.n_cached > outcome.n_prompt)


def _machine(used: Resources) -> list[str]:
    found = []
    if used.other_load_pct is not None and used.other_load_pct > OTHER_LOAD_PCT:
        found.append(f"other programs used {used.other_load_pct:.0f}% of a core")
    if used.swap_delta_bytes is not None and used.swap_delta_bytes > SWAP_BYTES:
        found.append(f"{used.swap_delta_bytes / 1e6:.0f} MB went to swap: the memory is short")
    if used.on_battery:
        found.append("on battery: many machines slow down")
    if used.throttled:
        found.append("the processor slowed itself for heat")
    elif used.temp_max_c is not None and used.temp_max_c > HOT_C:
        found.append(f"the processor was at {used.temp_max_c:.0f} °C")
    if used.cpu_freq_min and used.cpu_freq_mean and used.cpu_freq_min < FREQ_SHARE * used.cpu_freq_mean:
        found.append(f"the clock fell to {used.cpu_freq_min:.0f} MHz, mean {used.cpu_freq_mean:.0f}")
    return found


def _figures(o: Outcome) -> list[str]:
    found = []
    if mostly_cached(o):
        found.append(f"{o.n_cached} of {o.n_prompt} prompt tokens were cached: no prompt rate to speak of")
    if o.gen_ns and o.stream_ns:
        apart = abs(o.stream_ns - o.gen_ns)
        if apart > max(CLOCKS_SHARE * o.gen_ns, CLOCKS_NS):
            found.append(
                f"the engine says {o.gen_ns / 1e9:.2f} s of generation, the stream took {o.stream_ns / 1e9:.2f} s"
            )
    if o.n_gen is not None and o.n_gen_tokenizer is not None:
        apart = abs(o.n_gen - o.n_gen_tokenizer)
        if apart > max(COUNT_SHARE * o.n_gen, COUNT_TOKENS):
            found.append(f"the engine counts {o.n_gen} tokens, the model's tokenizer {o.n_gen_tokenizer}")
    if o.finish_reason == "aborted":
        found.append("the engine ended the answer without a last line: it repeated itself")
    return found
