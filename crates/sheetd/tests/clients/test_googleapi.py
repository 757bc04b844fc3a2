"""google-api-python-client, built from its own discovery documents."""
import unittest

from googleapiclient.discovery import build
from googleapiclient.errors import HttpError
from endpoint import SERVER, credentials, control


def service(name, version):
    endpoint = SERVER if name == "sheets" else f"{SERVER}/drive/v3/"
    return build(name, version, credentials=credentials(), client_options={"api_endpoint": endpoint}, static_discovery=True)


class GoogleApi(unittest.TestCase):
    def setUp(self):
        control("reset", {})
        self.sheets = service("sheets", "v4").spreadsheets()
        self.id = self.sheets.create(body={"properties": {"title": "T"}, "sheets": [{"properties": {"title": "One"}}]}).execute()["spreadsheetId"]

    def batch(self, *requests, **more):
        return self.sheets.batchUpdate(spreadsheetId=self.id, body={"requests": requests, **more}).execute()

    def test_values(self):
        values = self.sheets.values()
        values.update(spreadsheetId=self.id, range="One!A1", valueInputOption="RAW", body={"values": [["k", "v"], ["1", 2], ["=x", True]]}).execute()
        got = values.get(spreadsheetId=self.id, range="One!A:B", valueRenderOption="UNFORMATTED_VALUE", majorDimension="COLUMNS").execute()
        self.assertEqual(got["values"], [["k", "1", "=x"], ["v", 2, True]])
        values.append(spreadsheetId=self.id, range="One", valueInputOption="USER_ENTERED", insertDataOption="INSERT_ROWS", body={"values": [["2026-01-02"]]}).execute()
        got = values.batchGet(spreadsheetId=self.id, ranges=["One!A4", "One!B1"], valueRenderOption="UNFORMATTED_VALUE").execute()
        self.assertEqual([r["values"] for r in got["valueRanges"]], [[[46024]], [["v"]]])
        values.batchUpdate(spreadsheetId=self.id, body={"valueInputOption": "RAW", "data": [{"range": "One!C1", "values": [["c"]]}]}).execute()
        cleared = values.batchClear(spreadsheetId=self.id, body={"ranges": ["One!A4", "One!C:C"]}).execute()
        self.assertEqual(cleared["clearedRanges"], ["One!A4", "One!C1:C1001"])
        values.clear(spreadsheetId=self.id, range="One").execute()
        self.assertNotIn("values", values.get(spreadsheetId=self.id, range="One").execute())

    def test_metadata(self):
        location = {"dimensionRange": {"sheetId": 0, "dimension": "ROWS", "startIndex": 2, "endIndex": 3}}
        self.batch({"createDeveloperMetadata": {"developerMetadata": {"metadataId": 5, "metadataKey": "k", "visibility": "DOCUMENT", "location": location}}},
                   {"insertDimension": {"range": {"sheetId": 0, "dimension": "ROWS", "startIndex": 0, "endIndex": 2}}})
        found = self.sheets.developerMetadata().get(spreadsheetId=self.id, metadataId=5).execute()
        self.assertEqual(found["location"]["dimensionRange"], {"dimension": "ROWS", "startIndex": 4, "endIndex": 5})
        lookup = {"developerMetadataLookup": {"metadataKey": "k"}}
        body = {"valueInputOption": "RAW", "data": [{"dataFilter": lookup, "majorDimension": "ROWS", "values": [["here"]]}]}
        self.sheets.values().batchUpdateByDataFilter(spreadsheetId=self.id, body=body).execute()
        got = self.sheets.values().batchGetByDataFilter(spreadsheetId=self.id, body={"dataFilters": [lookup]}).execute()
        self.assertEqual(got["valueRanges"][0]["valueRange"], {"range": "One!A5:Z5", "majorDimension": "ROWS", "values": [["here"]]})
        self.sheets.values().batchClearByDataFilter(spreadsheetId=self.id, body={"dataFilters": [lookup]}).execute()
        matched = self.sheets.developerMetadata().search(spreadsheetId=self.id, body={"dataFilters": [lookup]}).execute()
        self.assertEqual(len(matched["matchedDeveloperMetadata"]), 1)
        shown = self.sheets.getByDataFilter(spreadsheetId=self.id, body={"dataFilters": [lookup], "includeGridData": True}).execute()
        self.assertEqual(shown["sheets"][0]["data"][0]["startRow"], 4)

    def test_structure_and_mask(self):
        other = self.sheets.create(body={}).execute()["spreadsheetId"]
        copied = self.sheets.sheets().copyTo(spreadsheetId=self.id, sheetId=0, body={"destinationSpreadsheetId": other}).execute()
        self.assertEqual(copied["title"], "Copy of One")
        reply = self.batch({"addSheet": {"properties": {"title": "Two"}}}, includeSpreadsheetInResponse=True)
        self.assertEqual([s["properties"]["title"] for s in reply["updatedSpreadsheet"]["sheets"]], ["One", "Two"])
        got = self.sheets.get(spreadsheetId=self.id, fields="sheets.properties.title").execute()
        self.assertEqual(got, {"sheets": [{"properties": {"title": "One"}}, {"properties": {"title": "Two"}}]})
        with self.assertRaises(HttpError) as caught:
            self.batch({"deleteSheet": {"sheetId": 404}})
        self.assertEqual(caught.exception.status_code, 400)
        self.assertIn("Invalid requests[0].deleteSheet", caught.exception.reason)

    def test_drive(self):
        drive = service("drive", "v3")
        drive.files().update(fileId=self.id, body={"name": "New name"}).execute()
        self.assertEqual(self.sheets.get(spreadsheetId=self.id).execute()["properties"]["title"], "New name")
        self.assertEqual(drive.files().get(fileId=self.id, fields="name,version").execute()["name"], "New name")
        self.assertEqual(drive.files().export(fileId=self.id, mimeType="text/csv").execute(), b"")
        given = drive.permissions().create(fileId=self.id, body={"type": "user", "role": "reader", "emailAddress": "a@b.c"}).execute()
        drive.permissions().delete(fileId=self.id, permissionId=given["id"]).execute()
        drive.files().delete(fileId=self.id).execute()
        with self.assertRaises(HttpError) as caught:
            drive.files().get(fileId=self.id).execute()
        self.assertEqual(caught.exception.error_details[0]["reason"], "notFound")

    def test_retries_after_a_server_error(self):
        control("faults", {"match": {"kind": "values.get"}, "action": {"status": 503}})
        got = self.sheets.values().get(spreadsheetId=self.id, range="One!A1").execute(num_retries=1)
        self.assertEqual(got["range"], "One!A1")


if __name__ == "__main__":
    unittest.main()
