"""Every reader of bytes that come from elsewhere, each with valid samples and how they are spoilt.

Where a reader wants a signature or a digest, spoilt content gets the right one too: whoever sends
it holds the key, and what lies behind the check is what has to hold.
"""

from __future__ import annotations

import base64
import dataclasses
import gzip
import hashlib
import io
import json
import os
import shutil
import struct
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, get_args

import numpy as np
import safetensors.numpy
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from client.flower.guard import inspect_bundle, installed_members
from client.handle import handle
from client.site.request_order import RequestOrder
from client.site.settings import Site, read_site
from common.figures.viewer import FORMAT, viewer_html
from common.imaging.centreline import read_centreline
from common.imaging.intake.bids import list_cases
from common.imaging.intake.bids_names import named_files
from common.imaging.intake.mapping import mapped_cases
from common.imaging.intake.nifti_header import read_header
from common.imaging.intake.participants import read_participants
from common.imaging.intake.privacy_checks import traces_in
from common.imaging.volume import VolumeFault, read_labels, read_volume, write_volume
from common.membership import certificate
from common.membership.kit import PURPOSE as KIT
from common.membership.kit import read_kit
from common.membership.node_key import fingerprint, new_node_key, read_node_key, read_public_key
from common.membership.request import PURPOSE as REQUEST
from common.membership.request import read_request, write_request
from common.membership.requests_key import PURPOSE as SEALED
from common.membership.requests_key import opened_seal, public_half
from common.membership.signature import framed, sign
from common.model_file import read_model, write_model
from common.recipe.recipe import load_recipe
from common.recipe.task import Task
from common.settings import read_toml
from common.wire.codec import Packed, answered_by, code_digest_in, pack, unpack
from common.wire.messages import Assignment, Message, SiteFailure, StatisticsRequest
from common.wire.seal import Seal, digests
from server.evaluation.evaluation_folder import EvaluationFolder
from server.events.history import read_history
from server.federation.authority import new_authority
from server.federation.members import read_members
from server.run.checkpoint import load_checkpoint, save_checkpoint
from server.run.data_record import read_record
from server.run.run_state import RunState
from tests.common.membership.test_kit import members_of, write
from tests.common.test_model_file import CHOICE, GRID, MODEL
from tests.common.wire.test_messages import SENT
from tests.fuzz.mutations import mutated, mutated_json, mutated_text, mutated_toml, one_of
from tests.mutated_sites import FIELDS, REAL, WHOLE
from tests.server.evaluation.made_evaluation import DEFINITION, baseline, failed, scored
from tests.server.federation.made_federation import made_federation
from tests.server.report.made_run import whole_run
from tests.volumes import stripped_brain

Read = Callable[[bytes], object]


@dataclass(frozen=True)
class Reader:
    """draw: spoilt content, by a seed; read: raises nothing, or an error of ours."""

    draw: Callable[[Random], bytes]
    read: Read


def readers(folder: Path) -> dict[str, Callable[[], Reader]]:
    """Name -> the reader, made in `folder` when it is called."""
    makers = (
        *(_codec, _seal, _kit, _request, _bundle, _model, _checkpoint, _recipe, _handle, _toml),
        *(_settings, _events, _mapping, _nifti, _certificate, _node_key, _members, _names),
        *(_evaluation, _viewer, _tables, _data_record),
    )
    return {maker.__name__[1:]: partial(maker, folder) for maker in makers}


def _in_file(path: Path, *calls: Callable[[Path], object]) -> Read:
    """Puts the content at `path`, and reads it in each of the ways: the first error ends them."""

    def read(content: bytes) -> None:
        path.write_bytes(content)
        for call in calls:
            call(path)

    return read


def _codec(folder: Path) -> Reader:
    packed = [pack(message) for message in SENT.values()]
    classes = get_args(Message)

    def draw(rng: Random) -> bytes:
        chosen = rng.choice(packed)
        header, payload = chosen.header.encode(), chosen.payload
        if (drawn := rng.random()) < 0.3:
            header = json.dumps(_other_shapes(json.loads(chosen.header), rng)).encode()
        elif drawn < 0.8:
            header = mutated_json(json.loads(chosen.header), rng)
        elif rng.random() < 0.5:
            header = mutated(header, rng)
        if rng.random() < 0.3:
            payload = mutated(payload, rng)
        return struct.pack("<I", len(header)) + header + payload

    def read(content: bytes) -> None:
        [length] = struct.unpack_from("<I", content)
        # half a surrogate pair never arrives: Flower's texts are protobuf's
        header = content[4 : 4 + length].decode("utf-8", errors="replace")
        arrived = Packed(header, content[4 + length :])
        for ask in (code_digest_in, answered_by):
            ask(arrived)
        unpack(arrived, classes)

    return Reader(draw, read)


def _seal(folder: Path) -> Reader:
    """Spoilt seals of requests, most of them with a signature that holds."""
    key = Ed25519PrivateKey.generate()
    named = public_half(key)
    packed = pack(SENT["mining"])
    whole = Seal(
        run="run-1",
        site="lyon",
        phase="statistics",
        round_index=1,
        exchange_id="a" * 32,
        sitting=1,
        number=1,
        **digests(packed),
    )
    order = RequestOrder(folder / "answered")

    def draw(rng: Random) -> bytes:
        text = mutated_json(whole.model_dump(mode="json"), rng)
        if rng.random() < 0.2:
            text = mutated(text, rng)
        signature = base64.b64encode(key.sign(framed(text, SEALED)))
        if rng.random() < 0.1:
            signature = mutated(signature, rng)
        return struct.pack("<I", len(text)) + text + signature

    def read(content: bytes) -> None:
        [length] = struct.unpack_from("<I", content)
        text = content[4 : 4 + length].decode("utf-8", errors="replace")
        signature = content[4 + length :].decode("utf-8", errors="replace")
        arrived = dataclasses.replace(packed, seal=text, signature=signature)
        order.begin(opened_seal(arrived, requests_key=named))

    return Reader(draw, read)


def _other_shapes(header: dict[str, Any], rng: Random) -> dict[str, Any]:
    """The arrays of the message with lengths that numpy or the memory may not take."""
    lengths = (0, 1, 2, 3, 2**16, 2**30, 2**31, 2**31 + 1, 2**63)
    if rng.random() < 0.3:
        header["arrays"] = header["arrays"][:1] * rng.choice((1, 2, 5_000))
    if rng.random() < 0.03:
        header["fields"] |= {str(n): rng.choice((n, None)) for n in range(20_000)}
    for row in header["arrays"]:
        if rng.random() < 0.7:
            row[3] = [rng.choice(lengths) for _ in range(rng.choice((0, 1, 2, 3, 8, 9, 40)))]
        elif rng.random() < 0.5:
            row[3] = rng.choice(([0, 2**31, 2**31], [2**31, 0, 2**31], [2**31] * 8, [1] * 8))
        if rng.random() < 0.2:
            row[2] = rng.choice(("float32", "float64", "int64", "float16", "object", "<f4"))
    return header


def _kit(folder: Path) -> Reader:
    made = members_of(write(folder))
    key = load_pem_private_key((folder / "ca.key").read_bytes(), password=None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    pem, plain = made["ca.pem"], made["kit.json"]
    table = json.loads(plain)

    def zipped(content: bytes, pem: bytes = pem) -> bytes:
        signature = sign(key, content, purpose=KIT).encode()
        return _zip({"ca.pem": pem, "kit.json": content, "kit.sig": signature})

    whole = zipped(plain)
    draw = one_of(
        lambda rng: zipped(mutated_json(table, rng)[: 1 << 18]),
        lambda rng: zipped(plain, mutated(pem, rng)),
        lambda rng: zipped(plain, _pem(mutated(_der(pem), rng))),
        lambda rng: mutated(whole, rng),
    )
    return Reader(draw, _in_file(folder / "kit.zip", read_kit))


def _request(folder: Path) -> Reader:
    key_file = folder / "request-site.key"
    new_node_key(key_file)
    key = read_node_key(key_file)
    request = write_request(folder / "request.json", site="alpha", key_file=key_file)
    table = request.model_dump(mode="json")

    def signed(rng: Random) -> bytes:
        content = mutated_json({**table, "signature": ""}, rng)
        try:
            changed = json.loads(content)
            canonical = json.dumps(changed, sort_keys=True, separators=(",", ":")).encode()
            changed["signature"] = sign(key, canonical, purpose=REQUEST)
            return json.dumps(changed).encode()
        except (ValueError, RecursionError, TypeError):
            return content

    whole = (folder / "request.json").read_bytes()
    draw = one_of(signed, lambda rng: mutated_json(table, rng), lambda rng: mutated(whole, rng))
    return Reader(draw, _in_file(folder / "spoilt-request.json", read_request))


def _bundle(folder: Path) -> Reader:
    members = {".info/CONTENT": b"", **installed_members()}
    project = members["pyproject.toml"].decode()
    whole = _zip(members)
    draw = one_of(
        lambda rng: _zip({**members, "pyproject.toml": mutated_toml(project, rng)}, packed=8),
        lambda rng: mutated(whole, rng),
    )
    return Reader(draw, inspect_bundle)


def _model(folder: Path) -> Reader:
    path = folder / "model.safetensors"
    write_model(MODEL.with_choice(CHOICE), path)
    whole = path.read_bytes()
    length = int.from_bytes(whole[:8], "little")
    metadata: dict[str, str] = json.loads(whole[8 : 8 + length])["__metadata__"]
    metadata["trained_grid"] = json.dumps(
        {"lowest_mm": GRID.lowest_mm, "highest_mm": GRID.highest_mm, "stripped": GRID.stripped}
    )

    def described(rng: Random) -> bytes:
        key = rng.choice(sorted(metadata))
        try:
            value = mutated_json(json.loads(metadata[key]), rng).decode("utf-8", "replace")
        except ValueError:
            value = mutated(metadata[key].encode(), rng).decode("utf-8", "replace")
        parameters = dict(MODEL.parameters)
        return safetensors.numpy.save(parameters, metadata={**metadata, key: value})

    draw = one_of(
        described, lambda rng: mutated(whole, rng), lambda rng: _spoilt_tensors(whole, rng)
    )
    return Reader(draw, _in_file(path, read_model))


def _checkpoint(folder: Path) -> Reader:
    place = folder / "checkpoints"
    place.mkdir()
    state = RunState(
        phase="training",
        round_index=3,
        template={"FLAIR": (0.25, 0.875, 1.25)},
        parameters={"network.w": np.array([[1.5, -2.0]], np.float32)},
        average={"network.w": np.array([[1.0, 2.0]], np.float32)},
        training_cases={"lyon": 4},
        step_seconds={"lyon": 0.5},
    )
    whole = save_checkpoint(place, state).read_bytes()
    length = int.from_bytes(whole[:8], "little")
    facts = json.loads(json.loads(whole[8 : 8 + length])["__metadata__"]["state"])
    tensors = safetensors.numpy.load(whole)

    def stated(rng: Random) -> bytes:
        text = mutated_json(facts, rng).decode("utf-8", "replace")
        return safetensors.numpy.save(tensors, metadata={"state": text})

    def read(content: bytes) -> None:
        shutil.rmtree(place)
        place.mkdir()
        name = f"000001-{hashlib.sha256(content).hexdigest()}.safetensors"
        (place / name).write_bytes(content)
        load_checkpoint(place)

    draw = one_of(stated, lambda rng: mutated(whole, rng), lambda rng: _spoilt_tensors(whole, rng))
    return Reader(draw, read)


def _recipe(folder: Path) -> Reader:
    path = folder / "recipe.toml"
    shipped = Path(__file__).parents[2] / "common" / "recipes"
    text = (shipped / "default.toml").read_text(encoding="utf-8")
    lines = [line for line in text.split("\n") if line.partition("#")[0].strip()]
    short = "\n".join(line.partition("  #")[0] for line in lines)
    return Reader(
        lambda rng: mutated_toml(short, rng), _in_file(path, lambda file: load_recipe(str(file)))
    )


def _handle(folder: Path) -> Reader:
    """A request whose recipe is spoilt, as the site answers it: no answer is InternalError."""
    site = Site(name="lyon", data=folder / "no-data", work=folder / "handle-work")
    table = json.loads(load_recipe("default").canonical_json())

    def read(content: bytes) -> None:
        assignment = Assignment(
            run="r",
            phase="statistics",
            round_index=1,
            recipe=content.decode("utf-8", errors="replace"),
            code_digest="0" * 64,
            site="lyon",
            site_index=0,
            n_sites=2,
            exchange_id="0" * 32,
        )
        reply = handle(StatisticsRequest(assignment=assignment), site)
        if isinstance(reply, SiteFailure) and reply.error in ("InternalError", "OSError"):
            raise AssertionError(f"{reply.error}: see the site's log")

    return Reader(lambda rng: mutated_json(table, rng), read)


def _toml(folder: Path) -> Reader:
    text = 'a = 1\nb.c = "x"\n[t]\nd = [1, 2.5, {e = true}]\n[[u]]\nf = 2026-03-01\n'
    return Reader(lambda rng: mutated_toml(text, rng), _in_file(folder / "any.toml", read_toml))


def _settings(folder: Path) -> Reader:
    """site.toml and federation.toml, whose keys are apart: one of the two is valid before."""
    site = 'name = "lyon"\ndata = "d"\nwork = "w"\n[policy]\nmin_subjects = 5\nrecipes = []\n'
    federation = made_federation(folder / "federation")
    settings = federation.settings_file.read_text(encoding="utf-8")
    at_federation = _in_file(federation.settings_file, lambda _: federation.settings())
    at_site = _in_file(folder / "site.toml", read_site)

    def read(content: bytes) -> None:
        (at_site if b"work" in content else at_federation)(content)

    draw = one_of(lambda rng: mutated_toml(site, rng), lambda rng: mutated_toml(settings, rng))
    return Reader(draw, read)


def _events(folder: Path) -> Reader:
    lines = [{"time": "2026-03-01T12:00:00+00:00", **line} for line in whole_run()]
    whole = b"".join(json.dumps(line).encode() + b"\n" for line in lines)

    def spoilt(rng: Random) -> bytes:
        written = [json.dumps(line).encode() for line in lines]
        at = rng.randrange(len(lines))
        written[at] = mutated_json(lines[at], rng)
        if rng.random() < 0.3:
            del written[rng.randrange(len(written))]
        return b"\n".join(written) + b"\n"

    draw = one_of(spoilt, spoilt, lambda rng: mutated(whole, rng))
    return Reader(draw, _in_file(folder / "events.jsonl", read_history))


def _mapping(folder: Path) -> Reader:
    root = folder / "mapped"
    root.mkdir()
    for name in ("a.nii.gz", "b.nii.gz", "m.nii.gz"):
        (root / name).write_bytes(b"\x1f\x8b")
    text = "subject\tsession\tmodality\tpath\nsub-01\tses-1\tFLAIR\ta.nii.gz\n"
    text += "02\tn/a\tFLAIR\tb.nii.gz\n01\t1\tlesion_mask\tm.nii.gz\n"
    task = Task(modalities=("FLAIR",))
    return Reader(
        lambda rng: mutated_text(text, rng),
        _in_file(folder / "table.tsv", lambda file: mapped_cases(file, root=root, task=task)),
    )


def _nifti(folder: Path) -> Reader:
    written = folder / "whole.nii"
    write_volume(stripped_brain(), written)
    whole = written.read_bytes()
    second = _as_nifti_2(folder, whole)

    def spoilt(rng: Random) -> bytes:
        content = bytearray(rng.choice((whole, whole, second)))
        is_second = content[:4] == struct.pack("<i", 540)
        for _ in range(rng.randint(1, 3)):
            if is_second:
                at, layout = rng.choice(NIFTI_2)
            else:
                at, layout = rng.choice(FIELDS)
            value: Any = rng.choice(REAL if layout in "fd" else WHOLE)
            if layout == "4s":
                value = rng.randbytes(4)
            elif layout == "q":
                value = rng.choice((*WHOLE, 2**31, 2**40, 2**62, -(2**63), 2**63 - 1))
            elif layout == "b":
                value = value % 128
            struct.pack_into("<" + layout, content, at, value)
        if rng.random() < 0.1:
            content = bytearray(mutated(bytes(content), rng))
        return gzip.compress(bytes(content), 1) if rng.random() < 0.4 else bytes(content)

    def packed(rng: Random) -> bytes:
        return mutated(gzip.compress(rng.choice((whole, second)), 1), rng)

    path = folder / "spoilt.nii.gz"

    def read(content: bytes) -> None:
        path.write_bytes(content)
        list(traces_in(path))
        refused: list[VolumeFault] = []
        for call in (read_header, read_volume, read_labels):
            try:
                call(path)
            except VolumeFault as fault:
                refused.append(fault)
        if refused:  # the texts are looked at as well
            raise refused[0]

    return Reader(one_of(spoilt, spoilt, packed), read)


NIFTI_2 = [
    *((at, "q") for at in range(16, 80, 8)),  # dim
    *((at, "d") for at in range(104, 168, 8)),  # pixdim
    *((12, "h"), (14, "h"), (168, "q"), (176, "d"), (184, "d"), (344, "i"), (348, "i")),
    *((at, "d") for at in range(352, 496, 8)),  # quatern, qoffset, srow
]
"""Where NIfTI-2 keeps what `mutated_sites.FIELDS` has of NIfTI-1."""


def _certificate(folder: Path) -> Reader:
    pem = new_authority("ms-north", now=_now()).certificate

    def read(content: bytes) -> None:
        certificate.load_certificate(content, where="a certificate")
        certificate.names_of(content)
        certificate.is_for(content, "lesionfed.example.org")
        certificate.certificate_fingerprint(content)
        certificate.expiry_warning(content, what="a certificate", now=_now())
        certificate.require_valid(content, what="a certificate", now=_now())

    draw = one_of(lambda rng: mutated(pem, rng), lambda rng: _pem(mutated(_der(pem), rng)))
    return Reader(draw, read)


def _node_key(folder: Path) -> Reader:
    private = folder / "node.key"
    public = new_node_key(private)
    content = private.read_bytes()
    kind, blob = public.split()
    raw = base64.b64decode(blob)
    point = raw.index(b"\x04", 30)

    def line(changed: bytes) -> bytes:
        return f"{kind} {base64.b64encode(changed).decode()}".encode()

    def compressed(rng: Random) -> bytes:
        """The point as one byte and its x alone: another encoding of a key, or of none."""
        x = raw[point + 1 : point + 49] if rng.random() < 0.5 else rng.randbytes(48)
        short = bytes([rng.choice((2, 3))]) + x
        return line(raw[: point - 4] + struct.pack(">I", len(short)) + short)

    def read(changed: bytes) -> None:
        if changed.startswith(b"-----"):
            private.write_bytes(changed)
            read_node_key(private)
        else:
            text = changed.decode("utf-8", errors="surrogateescape")
            read_public_key(text)
            fingerprint(text)

    draw = one_of(
        compressed,
        lambda rng: line(mutated(raw, rng)),
        lambda rng: mutated(public.encode(), rng),
        lambda rng: b"-----" + mutated(content, rng)[5:],
    )
    return Reader(draw, read)


def _members(folder: Path) -> Reader:
    made = made_federation(folder / "with-members")
    table = json.loads(made.members_file.read_bytes())
    whole = made.members_file.read_bytes()
    draw = one_of(lambda rng: mutated_json(table, rng), lambda rng: mutated(whole, rng))
    return Reader(draw, _in_file(made.members_file, read_members))


def _names(folder: Path) -> Reader:
    """Names of files: those that no file system takes are left out."""
    root = folder / "bids"
    task = Task(modalities=("FLAIR",))
    names = (b"sub-01_ses-02_run-1_FLAIR.nii.gz", b"sub-01/ses-1/anat/sub-01_ses-1_FLAIR.nii")

    def draw(rng: Random) -> bytes:
        name = rng.choice(names)
        label = rng.choice((b"9" * 200, b"\xd9\xa1", b"\xc2\xb2", b"0" * 180 + b"1", b"-", b"1e9"))
        if rng.random() < 0.5:
            return name.replace(rng.choice((b"01", b"02", b"1")), label)
        return mutated(name, rng)

    def read(content: bytes) -> None:
        shutil.rmtree(root, ignore_errors=True)
        path = os.fsencode(root) + b"/" + content.replace(b"\0", b"").replace(b"..", b".")[:1000]
        try:
            os.makedirs(os.path.dirname(path))
            with open(path, "wb") as file:
                file.write(b"\x1f\x8b")
        except OSError:
            root.mkdir(exist_ok=True)
        named_files(root)
        list_cases(root, task)

    return Reader(draw, read)


def _evaluation(folder: Path) -> Reader:
    made = EvaluationFolder(folder / "evaluation")
    made.write(scored(), failed(), definition=DEFINITION)
    made.write_baseline(baseline())
    calls: dict[Path, Callable[[], object]] = {
        made.cases_file: made.cases,
        made.lesions_file: made.lesions,
        made.thresholds_file: made.sweeps,
        made.probabilities_file: made.probabilities,
        made.definition_file: made.threshold,
    }
    texts = [path.read_text(encoding="utf-8") for path in calls]

    def draw(rng: Random) -> bytes:
        which = rng.randrange(len(texts))
        if texts[which].startswith("{"):
            content = mutated_json(json.loads(texts[which]), rng)
        else:
            content = mutated_text(texts[which], rng)
        return bytes([which]) + content

    def read(content: bytes) -> None:
        path, call = list(calls.items())[content[0]]
        path.write_bytes(content[1:])
        call()

    return Reader(draw, read)


def _viewer(folder: Path) -> Reader:
    table = {"format": FORMAT, "title": "east, sub-A", "shape": [2, 3, 4], "image": "H4sIAA=="}
    whole = json.dumps(table).encode()
    draw = one_of(lambda rng: mutated_json(table, rng), lambda rng: mutated(whole, rng))
    return Reader(draw, lambda content: viewer_html([content]))


def _tables(folder: Path) -> Reader:
    """participants.tsv, a sidecar, a centreline: by what the content begins with."""
    people = "participant_id\tdiagnosis\tage\nsub-01\tMS\t41\nsub-02\thealthy\t90\n"
    line = "x_mm\ty_mm\tz_mm\n1\t2\t3\n4\t5.5\t6\n"
    sidecar = {"SpacingBetweenSlices": 3.0, "PatientName": "A^B", "a": [{"b": "2026-03-01"}]}
    calls: tuple[Callable[[Path], object], ...] = (
        read_participants,
        lambda path: list(traces_in(path)),
        read_centreline,
        lambda path: list(traces_in(path)),
    )
    files = [folder / name for name in ("participants.tsv", "p.tsv", "c.tsv", "s.json")]

    def draw(rng: Random) -> bytes:
        which = rng.randrange(len(files))
        if which == 3:
            return bytes([which]) + mutated_json(sidecar, rng)
        return bytes([which]) + mutated_text(line if which == 2 else people, rng)

    def read(content: bytes) -> None:
        files[content[0]].write_bytes(content[1:])
        calls[content[0]](files[content[0]])

    return Reader(draw, read)


def _data_record(folder: Path) -> Reader:
    place = {
        "name": "a",
        "part": "training",
        "data": "/d",
        "files": "0" * 64,
        "subjects": ["sub-1"],
    }
    image = {"subject": "sub-1", "session": None, "what": "FLAIR", "digests": ["0" * 64]}
    table = {"labels_are_local": False, "places": [{**place, "images": [image]}]}
    return Reader(lambda rng: mutated_json(table, rng), _in_file(folder / "data.json", read_record))


def _zip(members: dict[str, bytes], *, packed: int = zipfile.ZIP_STORED) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", packed, compresslevel=1) as archive:
        for name, member in members.items():
            archive.writestr(name, member)
    return content.getvalue()


def _der(pem: bytes) -> bytes:
    return base64.b64decode(b"".join(pem.strip().split(b"\n")[1:-1]))


def _pem(der: bytes) -> bytes:
    body = base64.encodebytes(der)
    return b"-----BEGIN CERTIFICATE-----\n" + body + b"-----END CERTIFICATE-----\n"


def _spoilt_tensors(whole: bytes, rng: Random) -> bytes:
    """A safetensors file whose header says other shapes, types and places than it has."""
    length = int.from_bytes(whole[:8], "little")
    header = mutated_json(json.loads(whole[8 : 8 + length]), rng)
    return len(header).to_bytes(8, "little") + header + whole[8 + length :]


def _as_nifti_2(folder: Path, whole: bytes) -> bytes:
    import nibabel

    nib: Any = nibabel
    image = nib.Nifti1Image.from_bytes(whole)
    return bytes(nib.Nifti2Image(image.get_fdata(), image.affine, dtype=np.float32).to_bytes())


def _now() -> Any:
    from datetime import UTC, datetime

    return datetime.now(UTC)
