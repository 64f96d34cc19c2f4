#!/usr/bin/env bash
# Following the log of a gateway in a container: there is no image yet.
echo "monitor-logs.sh: images come with provisioning, which is not built yet (ROADMAP.md);" >&2
echo "  a gateway logs to standard error, or to the file that \`logging.output_path\` names: tail -f FILE" >&2
exit 2
