"""Prints the newest image tag that a registry lists: newest_tag.py https://REGISTRY REPOSITORY PATTERN.

The pattern is a regular expression; its groups are the numbers that are compared. Standard library only, since it runs
before anything is installed. The tags are asked for anonymously, page by page, as the OCI distribution protocol has it.
"""

import json
import re
import sys
import urllib.error
import urllib.parse
import urllib.request

PAGES = 200


def read(url, token):
    headers = {"authorization": f"Bearer {token}"} if token else {}
    return urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=30)  # noqa: S310


def anonymous_token(challenge):
    """The token that a 401's WWW-Authenticate says where to get."""
    said = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
    asked = urllib.parse.urlencode({name: said[name] for name in ("service", "scope") if name in said})
    with read(f"{said['realm']}?{asked}", None) as answer:
        return json.load(answer)["token"]


def tags(registry, repository):
    token, url = None, f"{registry}/v2/{repository}/tags/list?n=1000"
    for _ in range(PAGES):
        try:
            answer = read(url, token)
        except urllib.error.HTTPError as error:
            if error.code != 401 or token is not None:
                raise
            token = anonymous_token(error.headers.get("WWW-Authenticate", ""))
            answer = read(url, token)
        with answer:
            yield from json.load(answer).get("tags") or []
            following = re.match(r'<([^>]+)>;\s*rel="?next', answer.headers.get("Link", ""))
        if following is None:
            return
        url = urllib.parse.urljoin(url, following.group(1))


def main(registry, repository, pattern):
    found = [match for match in map(re.compile(pattern).fullmatch, tags(registry, repository)) if match]
    if not found:
        sys.exit(f"{registry} lists no tag of {repository} that reads like {pattern}")
    newest = max(found, key=lambda match: tuple(map(int, match.groups())))
    sys.stdout.write(f"{newest.group()}\n")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except (OSError, ValueError, KeyError) as error:
        sys.exit(f"{sys.argv[1]} could not be asked for the tags of {sys.argv[2]}: {error}")
