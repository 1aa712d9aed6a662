"""The rows of sampling_defaults.csv for llama.cpp are what its own server says of itself."""

import re
import subprocess

from servers import llama_server_binary

from workbook import facts

FLAGS = {
    "temperature": "--temp", "top_k": "--top-k", "top_p": "--top-p", "min_p": "--min-p",
    "repeat_penalty": "--repeat-penalty", "max_tokens": "--predict", "n_ctx": "--ctx-size", "seed": "--seed",
}  # fmt: skip
WORDS = {"no limit": "-1", "as trained": "0", "random": "-1"}


def test_llama_cpp_says_so_itself(llama_server_there: None) -> None:
    done = subprocess.run([str(llama_server_binary()), "--help"], capture_output=True, text=True, timeout=60)
    rows = facts.table("sampling_defaults").query("program == 'llama.cpp'").set_index("setting")["value"]
    for setting, flag in FLAGS.items():
        told = re.search(rf"^(?:-.*)?{flag}[ ,].*?\(default: (-?[\d.]+)", done.stdout, flags=re.M)
        assert told, setting
        assert float(told[1]) == float(WORDS.get(rows[setting], rows[setting])), setting
