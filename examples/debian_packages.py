#!/usr/bin/env python3
"""Turns `apt-cache dumpavail` on standard input into JSONL for `loam DIR import`.

One line per record: {"key": package name, "value": the whole record}. A name that comes twice is
printed twice; the import keeps the last.
"""
import base64, json, sys

def field(name, raw):
    """A field of the import format: text where it is UTF-8 without NUL, base64 elsewhere."""
    try:
        text = raw.decode("utf-8")
        if "\0" not in text:
            return {name: text}
    except UnicodeDecodeError:
        pass
    return {f"{name}_b64": base64.b64encode(raw).decode("ascii")}

def records(lines):
    """Yields the paragraphs: lists of lines between empty ones."""
    record = []
    for line in lines:
        if line.strip():
            record.append(line)
        elif record:
            yield record
            record = []
    if record:
        yield record

def main():
    sys.stdout.reconfigure(encoding="utf-8")
    for record in records(sys.stdin.buffer):
        name = next((line[8:].strip() for line in record if line.startswith(b"Package:")), None)
        if name:
            print(json.dumps(field("key", name) | field("value", b"".join(record)), ensure_ascii=False))

main()
