"""A model that knows tools and thinking: the packaged weights under another chat template, and talks to show it how."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gguf

from workbook import models

TOOLISH = "toolish"
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a city.",
        "parameters": {"type": "object", "required": ["city"], "properties": {"city": {"type": "string"}}},
    },
}
# In the manner of Qwen's templates, short: Ollama reads from its words what the model can do.
TEMPLATE = r"""{%- if tools %}
    {{- '<|im_start|>system\n' }}
    {%- if messages[0].role == 'system' %}{{- messages[0].content + '\n\n' }}{%- endif %}
    {{- "# Tools\n\nYou may call these functions:\n<tools>" }}
    {%- for tool in tools %}{{- "\n" }}{{- tool | tojson }}{%- endfor %}
    {{- "\n</tools>\n\nFor each call, return a json object within <tool_call></tool_call> tags:\n<tool_call>\n{\"name\": <function-name>, \"arguments\": <args-json-object>}\n</tool_call><|im_end|>\n" }}
{%- elif messages[0].role == 'system' %}
    {{- '<|im_start|>system\n' + messages[0].content + '<|im_end|>\n' }}
{%- endif %}
{%- for message in messages %}
    {%- if message.role == 'user' or (message.role == 'system' and not loop.first) %}
        {{- '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>\n' }}
    {%- elif message.role == 'assistant' %}
        {{- '<|im_start|>assistant\n' }}
        {%- if message.reasoning_content %}{{- '<think>\n' + message.reasoning_content + '\n</think>\n\n' }}{%- endif %}
        {{- message.content or '' }}
        {%- for tool_call in message.tool_calls or [] %}
            {%- if message.content or not loop.first %}{{- '\n' }}{%- endif %}
            {{- '<tool_call>\n{"name": "' }}{{- tool_call.function.name }}{{- '", "arguments": ' }}
            {%- if tool_call.function.arguments is string %}{{- tool_call.function.arguments }}{%- else %}{{- tool_call.function.arguments | tojson }}{%- endif %}
            {{- '}\n</tool_call>' }}
        {%- endfor %}
        {{- '<|im_end|>\n' }}
    {%- elif message.role == 'tool' %}
        {%- if loop.first or messages[loop.index0 - 1].role != 'tool' %}{{- '<|im_start|>user' }}{%- endif %}
        {{- '\n<tool_response>\n' + message.content + '\n</tool_response>' }}
        {%- if loop.last or messages[loop.index0 + 1].role != 'tool' %}{{- '<|im_end|>\n' }}{%- endif %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}{{- '<think>\n\n</think>\n\n' }}{%- endif %}
{%- endif %}
"""


def written(target: Path) -> Path:
    """The packaged model with ``TEMPLATE`` for its chat template, as a GGUF file."""
    reader = gguf.GGUFReader(models.packaged())
    writer = gguf.GGUFWriter(target, arch="llama")
    for field in reader.fields.values():
        if field.name.startswith("GGUF.") or field.name == "general.architecture":
            continue
        value = TEMPLATE if field.name == "tokenizer.chat_template" else field.contents()
        of = field.types[-1] if field.types[0] == gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(field.name, value, field.types[0], of)
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, tensor.data, raw_shape=tensor.data.shape, raw_dtype=tensor.tensor_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return target


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def called(*cities: str) -> dict[str, Any]:
    calls = [{"function": {"name": "get_weather", "arguments": {"city": city}}} for city in cities]
    return {"role": "assistant", "content": "", "tool_calls": calls}


def as_openai(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same messages in OpenAI's form: arguments as text, and ids."""
    made = []
    for message in messages:
        calls = [
            {
                "id": "call_1",
                "type": "function",
                "function": {**call["function"], "arguments": json.dumps(call["function"]["arguments"])},
            }
            for call in message.get("tool_calls", ())
        ]
        made.append({**message, "tool_calls": calls} if calls else message)
    return made


# A small model goes on as it went: three calls, and a fourth question.
ASKED = [turn for city in ("Paris", "Rome", "Lyon") for turn in (user(f"The weather in {city}?"), called(city))]
ASKED += [user("The weather in Nice?")]
TWO = [user("The weather in Paris and Rome?"), called("Paris", "Rome"), user("The weather in Lyon and Oslo?")]
TWO += [called("Lyon", "Oslo"), user("The weather in Nice and Bonn?")]
TOLD = [
    *ASKED,
    called("Nice"),
    {"role": "tool", "tool_name": "get_weather", "tool_call_id": "call_1", "content": "Wind."},
]
THOUGHT = [
    turn
    for city, country in (("Paris", "France"), ("Rome", "Italy"), ("Madrid", "Spain"))
    for turn in (
        user(f"Where is {city}?"),
        {"role": "assistant", "content": f"<think>\nI know {city}.\n</think>\n\nIn {country}."},
    )
] + [user("Where is Berlin?")]
