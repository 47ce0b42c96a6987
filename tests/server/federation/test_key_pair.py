from __future__ import annotations

from pathlib import Path

import pytest

from common.errors import ConfigError
from common.files import write_whole
from server.federation import provision as federation_room
from server.federation.authority import require_pair
from server.federation.provision import rotate_certificate
from tests.consortia import federation


def test_a_rotation_cut_off_between_key_and_certificate_is_found_and_mended_by_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = federation(tmp_path)
    require_pair(made)

    def cut(path: Path, content: bytes, *, mode: int = 0o666) -> None:
        if path == made.certificate_file:
            raise KeyboardInterrupt
        write_whole(path, content, mode=mode)

    with monkeypatch.context() as patch:
        patch.setattr(federation_room, "write_whole", cut)
        with pytest.raises(KeyboardInterrupt):
            rotate_certificate(made)
    with pytest.raises(ConfigError, match=r"server\.key do not belong .*Run `lesionfed rotate --f"):
        require_pair(made)
    rotate_certificate(made)
    require_pair(made)


def test_a_key_that_is_none_is_said(tmp_path: Path) -> None:
    made = federation(tmp_path)
    made.certificate_key_file.write_text("no key")
    with pytest.raises(ConfigError, match=r"server\.key: not a private key in PEM"):
        require_pair(made)
