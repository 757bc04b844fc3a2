"""gspread, doing what its users do."""
import unittest

import gspread
from gspread.utils import ValueInputOption, ValueRenderOption
from endpoint import credentials, control, session


class Gspread(unittest.TestCase):
    def setUp(self):
        control("reset", {})
        self.client = gspread.Client(auth=credentials(), session=session())
        self.book = self.client.create("A book")
        self.sheet = self.book.sheet1

    def test_records(self):
        self.sheet.update([["name", "n"], ["Ä", 1], ["b", 2.5]], "A1")
        self.assertEqual(self.sheet.get_all_records(), [{"name": "Ä", "n": 1}, {"name": "b", "n": 2.5}])
        self.sheet.append_row(["c", "=B2*2"], value_input_option=ValueInputOption.user_entered)
        self.assertEqual(self.sheet.row_values(4), ["c", "2"])
        self.assertEqual(self.sheet.acell("B4", value_render_option=ValueRenderOption.formula).value, "=B2*2")
        self.assertEqual(self.sheet.find("b").address, "A3")
        self.sheet.delete_rows(2)
        self.sheet.insert_row(["first", "0"], 2)
        self.assertEqual(self.sheet.col_values(1), ["name", "first", "b", "c"])

    def test_worksheets(self):
        second = self.book.add_worksheet("Second", rows=5, cols=3)
        second.update_acell("C5", "end")
        self.assertEqual([w.title for w in self.book.worksheets()], ["Sheet1", "Second"])
        copy = self.book.duplicate_sheet(second.id, new_sheet_name="Third")
        self.assertEqual(copy.acell("C5").value, "end")
        self.book.reorder_worksheets([copy, second, self.sheet])
        self.assertEqual([w.title for w in self.book.worksheets()], ["Third", "Second", "Sheet1"])
        second.resize(rows=10)
        self.assertEqual(self.book.worksheet("Second").row_count, 10)
        self.book.del_worksheet(second)
        with self.assertRaises(gspread.WorksheetNotFound):
            self.book.worksheet("Second")

    def test_batches_formats_notes(self):
        self.sheet.batch_update([{"range": "A1:B1", "values": [["a", "b"]]}, {"range": "A2", "values": [[7]]}])
        self.assertEqual(self.sheet.batch_get(["A1:B1", "A2"]), [[["a", "b"]], [["7"]]])
        self.sheet.format("A2", {"numberFormat": {"type": "CURRENCY", "pattern": "$0.00"}, "textFormat": {"bold": True}})
        self.assertEqual(self.sheet.acell("A2").value, "$7.00")
        self.sheet.update_note("A1", "look here")
        self.assertEqual(self.sheet.get_note("A1"), "look here")
        self.sheet.merge_cells("A1:B1")
        self.sheet.freeze(rows=1)
        self.sheet.sort((1, "des"), range="A2:B9")
        self.sheet.set_basic_filter("A1:B9")
        self.sheet.add_protected_range("A1:B1", ["someone@example.com"])
        self.sheet.batch_clear(["A2"])
        self.assertIsNone(self.sheet.acell("A2").value)

    def test_drive(self):
        self.client.copy(self.book.id, title="A copy", copy_permissions=False)
        self.assertEqual({f["name"] for f in self.client.list_spreadsheet_files()}, {"A book", "A copy"})
        self.book.share("someone@example.com", perm_type="user", role="reader", notify=False)
        self.assertIn("someone@example.com", [p.get("emailAddress") for p in self.book.list_permissions()])
        self.book.update_title("Renamed")
        self.assertEqual(self.client.open("Renamed").id, self.book.id)
        self.client.del_spreadsheet(self.book.id)
        with self.assertRaises(gspread.SpreadsheetNotFound):
            self.client.open_by_key(self.book.id)

    def test_errors(self):
        with self.assertRaises(gspread.exceptions.APIError) as caught:
            self.sheet.get("NOPE!A1")
        self.assertIn("Unable to parse range", str(caught.exception))
        control("faults", {"match": {"kind": "values.get"}, "action": {"status": 429}})
        with self.assertRaises(gspread.exceptions.APIError) as caught:
            self.sheet.get("A1")
        self.assertEqual(caught.exception.code, 429)


if __name__ == "__main__":
    unittest.main()
