import dataclasses

import lamina
from lamina.evidence.page import write_markdown, write_page


def test_the_page_shows_count_verdict_seeds_and_both_reports(known, tmp_path):
    found = lamina.reproduce("toy", jobs=1)
    page = write_page([found], tmp_path / "index.html").read_text()
    assert page.index("1 claim: 1 holds, 0 do not hold, 0 are not decided") < page.index("<main>")
    assert "A &lt;title&gt; &amp; more" in page
    assert "<title>&" not in page
    assert page.count("<circle") == 10
    for text in ("The paper reports", "Half.", "It is lower.", "0 to 4", "3 parameters", "0.031"):
        assert text in page
    assert "http" not in page.replace("http://www.w3.org/2000/svg", "").replace("http-equiv", "")
    assert "Why it may differ" not in page


def test_a_claim_that_does_not_hold_says_why_it_may_differ(known, tmp_path):
    page = write_page([lamina.reproduce("toy", seeds=2, jobs=1)], tmp_path / "index.html").read_text()
    assert "not decided" in page
    assert "It is small." in page


def test_evidence_of_other_code_is_marked(known, monkeypatch, tmp_path):
    found = lamina.reproduce("toy", jobs=1)
    monkeypatch.setattr("lamina.evidence.page.names", lambda: ["toy"])
    monkeypatch.setattr("lamina.evidence.page.find", lambda name: known)
    for changed in (False, True):
        evidence = dataclasses.replace(found, fingerprint="0" * 16) if changed else found
        assert ("Its code has changed since" in write_page([evidence], tmp_path / "a.html").read_text()) == changed
        write_markdown([evidence], tmp_path)
        assert ("its code has changed since" in (tmp_path / "claims.md").read_text()) == changed


def test_markdown_opens_with_the_count_and_drawings_of_gone_claims_go(known, tmp_path):
    gone = tmp_path / "images" / "claims" / "gone.svg"
    gone.parent.mkdir(parents=True)
    gone.touch()
    write_markdown([lamina.reproduce("toy", jobs=1)], tmp_path)
    lines = (tmp_path / "claims.md").read_text().splitlines()
    assert lines[:3] == ["# Claims", "", "1 claim: 1 holds, 0 do not hold, 0 are not decided."]
    assert "| [toy](#toy) | holds | It is lower. |" in lines
    assert "[arXiv:2001.00001](https://arxiv.org/abs/2001.00001)" in "\n".join(lines)
    assert [p.name for p in gone.parent.iterdir()] == ["toy.svg"]
