"""Where the clients under test find the server, and credentials for it."""
import json, os, urllib.request

from google.auth.transport.requests import AuthorizedSession
from google.oauth2 import service_account
from requests.adapters import HTTPAdapter

SERVER, KEY = os.environ["SHEETD_SERVER"], os.environ["SHEETD_KEY"]
SCOPES = ["https://www.googleapis.com/auth/spreadsheets", "https://www.googleapis.com/auth/drive"]


def credentials():
    return service_account.Credentials.from_service_account_file(KEY, scopes=SCOPES)


class Redirected(HTTPAdapter):
    """Sends what is meant for Google's hosts to the server; nothing else of a client changes."""

    def send(self, request, **options):
        host, path = request.url.split("//", 1)[1].split("/", 1)
        request.url = f"{SERVER}/{path}"
        return super().send(request, **options)


def session():
    session = AuthorizedSession(credentials())
    for host in ("sheets", "www", "drive"):
        session.mount(f"https://{host}.googleapis.com", Redirected())
    return session


def control(path, body=None, method="POST"):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{SERVER}/_sheetd/{path}", data=data, method=method)
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)
