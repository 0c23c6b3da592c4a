"""``perturbarena parse`` as its users call it."""

from __future__ import annotations

import csv
import gzip
import json

from perturbarena.cli import run


def test_one_row_out_for_each_row_in(tmp_path, capsys):
    texts = tmp_path / "texts.csv.gz"
    with gzip.open(texts, "wt", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerows(
            [
                ("id", "trace"),
                ("Aars_NA", "<answer>A</answer>"),
                ("Aars_Actb", ""),
                ("Aars_Cat", "P_up=0.3, P_down=0.1\nso"),
            ]
        )
    out = tmp_path / "new" / "parsed.csv"
    assert run(["parse", str(texts), "--column", "trace", "-o", str(out), "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert (summary["rows"], summary["parsed"]) == (3, 2)
    assert summary["how"] == {"tag": 1, "unparsed:empty": 1, "probabilities": 1}
    rows = list(csv.DictReader(out.read_text(encoding="utf-8").splitlines()))
    assert list(rows[0]) == ["id", "label", "p_up", "p_down", "how"]
    assert [row["id"] for row in rows] == ["Aars_NA", "Aars_Actb", "Aars_Cat"]
    assert [row["label"] for row in rows] == ["up", "", "none"]
    assert (float(rows[1]["p_up"]), float(rows[1]["p_down"])) == (1 / 3, 1 / 3)
    assert (float(rows[2]["p_up"]), float(rows[2]["p_down"])) == (0.3, 0.1)


def test_rows_without_ids_are_numbered(tmp_path, capsys):
    texts, out = tmp_path / "texts.csv", tmp_path / "parsed.csv"
    texts.write_text("answer\nX\nZ\n")
    assert run(["parse", str(texts), "--column", "answer", "-o", str(out), "--letters", "XYZ"]) == 0
    assert out.read_text() == "id,label,p_up,p_down,how\n1,up,1.0,0.0,letter\n2,none,0.0,0.0,letter\n"
    printed = capsys.readouterr().out
    assert "letter" in printed
    assert "2 of 2 texts read (100.00%): 1 up, 0 down, 1 none" in printed


def test_a_file_without_rows(tmp_path, capsys):
    texts, out = tmp_path / "texts.csv", tmp_path / "parsed.csv"
    texts.write_text("id,answer\n")
    assert run(["parse", str(texts), "--column", "answer", "-o", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["parse_rate"] is None
    assert out.read_text() == "id,label,p_up,p_down,how\n"


def test_refusals_are_one_line_and_exit_code_2(tmp_path, capsys):
    texts, out = tmp_path / "texts.csv", tmp_path / "parsed.csv"
    texts.write_text("id,answer\nx,A\n")
    assert run(["parse", str(texts), "--column", "trace", "-o", str(out), "--json"]) == 2
    captured = capsys.readouterr()
    assert "needs the column trace" in json.loads(captured.out)["error"]
    assert captured.err.count("\n") == 1
    assert run(["parse", str(texts), "--column", "answer", "-o", str(out), "--letters", "AB"]) == 2
    assert "three different" in capsys.readouterr().err
    assert not out.exists()
