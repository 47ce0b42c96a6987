"""What the coordinator does about a failure, from its code alone: no site's text is needed."""

from __future__ import annotations

UNKNOWN = (
    "This version of LesionFed does not know the code: ask the site what its log says at that "
    "time, and whether it runs the version that the coordinator named."
)

_SITE_CHECK = "Ask the site to run `lesionfed-site check`, which names the file and the fix"
_REPORT = "It is a fault of LesionFed: ask the site for its log's traceback, without paths, and "

ADVICE = {
    # the site did not answer
    "absent": "Ask the site whether its node runs (`lesionfed-site run`) and reaches the "
    "coordinator (`lesionfed-site preflight`).",
    "deadline": "Ask the site whether it still computes or lost the link; if it is slow, raise "
    "federation.round_deadline_s or give it fewer steps.",
    "transport": "The message did not reach the SuperLink in time: see whether `lesionfed serve` "
    "runs, and `lesionfed preflight` for its health.",
    "paused": "The site has paused itself; ask when it will come back (`lesionfed-site unpause`).",
    "left": "The site has left the federation: `lesionfed sites remove` it, or ask it to return.",
    "stopped": "Somebody stopped the work on purpose: `lesionfed resume` continues a run; at a "
    "site, ask it to start again.",
    # the two sides do not fit each other
    "code-mismatch": "The site runs another version: ask it to install the version that its kit "
    "names, then restart its node.",
    "recipe-not-approved": "Send the site the recipe and its SHA-256; once it has approved that "
    "hash the next round goes through.",
    "bundle-has-code": "The app bundle holds Python files: submit the run with `lesionfed run`, "
    "whose bundle holds none, and find out who made the other one.",
    "bundle-not-ours": "The app bundle is not the one installed at the site: compare the versions "
    "of LesionFed; where they are equal, submit the run with `lesionfed run`, and find out who "
    "made the other one.",
    "replayed": "An old message came in place of a new one and was refused; if it comes again, "
    "look for a second process that executes the run or for somebody on the line.",
    "not-signed": "The site's kit names another key for requests: enrol it again, so that it joins "
    "with a new kit; if no key was rotated, find out who else sends requests.",
    "seal": "A request reached the site changed: look for somebody between this machine and it.",
    "out-of-order": "The site was asked for an earlier round without a restart: report it.",
    "too-many-requests": "The run asked the site more often than any run needs: start a new run.",
    "other-role": "The site was enrolled for another role than federation.toml gives it now: put "
    "the role back, or enrol the site again so that it joins with a new kit.",
    "wrong-site": "A message meant for another site came there: compare the sites' names and keys "
    "in `lesionfed sites` with the site's own kit, and enrol it again where they differ.",
    "wire": "A message could not be read: compare versions on both sides, then the proxy's limit "
    "on the size of a body.",
    "config": "A settings file does not fit: ask the site what its log names in site.toml, or "
    "correct the recipe if every site says so.",
    # the site's policy
    "policy": "The site's own policy keeps the answer back; ask its data officer, or continue "
    "without the site.",
    "site-limits": "The recipe asks for more threads, patches, steps or channels than the site's "
    "limits allow: ask the site which, then make the recipe smaller or let it raise the limit.",
    "too-few-subjects": "The site has fewer subjects than its policy lets be summed; it may lower "
    "policy.min_subjects or stay out of this part.",
    # the answer would have spoiled the aggregate
    "update-rejected": "The site's update was left out to save the aggregate; if it happens again, "
    "lower the learning rate or suspend the site until its data are checked.",
    "unusable-reply": "The site's answer made the coordinator's program fail and was left out: "
    "suspend the site until it is known what it runs, and report the line that the log at the "
    "coordinator names.",
    "loss-not-finite": "Training diverged at the site: lower optimizer.learning_rate; if only this "
    "site does so, ask it to check its intensities.",
    # the site's machine
    "disk": "The site's disk is full: ask it to free space where its work folder lies.",
    "open-files": "The site's system lets its node open too few files: ask it to raise the limit "
    "(`ulimit -n 4096`; in a systemd unit LimitNOFILE) and to start the node again.",
    "no-permission": "The site's node may not read or write one of its files: ask the site which "
    "one its log names, and to give the node's user the right.",
    "disk-fault": "A disk or a mounted share at the site does not answer as it should: ask it for "
    "the file that its log names, and to mount the share again.",
    "not-there": "A file or folder at the site is gone: ask it for the one that its log names.",
    "system": "The system refused something at the site: ask it what its log says.",
    "no-file-locks": "The site's folder lies on a file system without file locks: ask it to move "
    "the folder to a local disk, or to mount that one with locks.",
    "memory": "The site has too little memory: ask it to give its node more or run fewer workers.",
    "no-gpu": "The recipe wants a GPU that the site's node does not see: ask it to check driver "
    "and container, or set compute.device to cpu.",
    "busy": "Another work of the site holds its folder: ask it to let that end or stop it.",
    "worker-ended": "A worker process ended at the site, most often killed for memory: ask it to "
    "give it more or run fewer at a time.",
    "worker-failed": _REPORT + "report it.",
    "not-written": "A result could not be written at the site: ask it to look at the free space "
    "and permissions of its derivatives folder.",
    "internal": _REPORT + "report it; the run continues without the site.",
    "error": _REPORT + "report it; this failure has no code of its own.",
    # the site's data
    "site-data": f"{_SITE_CHECK}.",
    "geometry": f"Images that must share a grid do not. {_SITE_CHECK}.",
    "no-lesions": f"No case of the site has a lesion to train on. {_SITE_CHECK}; a site of healthy "
    "controls takes the role `statistics`.",
    "scanner-reference": "A reference on the scanner's own grid does not fit the prepared one. The "
    "site runs `lesionfed-site prepare` again.",
    "training-subjects-gone": "Every subject that trained at the site in this run is gone: ask it "
    "to put them back, or to pause for the rest of the run.",
    "split-damaged": "The site cannot read who trains and who judges in this run: ask it to "
    "restore the file that its log names, or to pause for the rest of the run.",
    "no-negatives": f"No voxel without lesion was found to train on. {_SITE_CHECK}.",
    "not-finite": f"An image holds values that are no numbers. {_SITE_CHECK}.",
    "not-labels": f"A lesion mask holds something else than labels. {_SITE_CHECK}.",
    "not-grey": f"An image is in colour. {_SITE_CHECK}.",
    "not-3d": f"An image is not three-dimensional. {_SITE_CHECK}.",
    "missing": f"A file that was there is gone. {_SITE_CHECK}.",
    "bad-affine": f"An image does not say where it lies in space. {_SITE_CHECK}.",
    "unreadable": f"A file cannot be read as an image. {_SITE_CHECK}.",
    "truncated": f"A file is cut short. {_SITE_CHECK}; most often it must be copied again.",
    "intensities": "Values of an image break a step of the recipe: ask the site to run "
    "`lesionfed-site check --raw`, which names the image and what to do.",
    "preprocessing": "A step of preprocessing failed at the site: ask it to run `lesionfed-site "
    "prepare` and look at the case that it names.",
    "registration": "Two images could not be registered: ask the site to look at the "
    "case that `lesionfed-site prepare` names.",
    "no-norms": "federation.norms is local and the network has no normalization layer with "
    "parameters: set it to averaged, or take a network that has some.",
    "kept-norms": "The normalization layers that the site keeps do not fit this recipe's network: "
    "ask the site to remove them from its work folder, then `lesionfed resume` the run.",
    "no-lesion-metric": "The site lost the network that the run had given it: `lesionfed stop` and "
    "`lesionfed resume` the run, and if that does not help start a new one.",
    "pooled-sites": "The simulated site holds other hospitals' data than the run counts: lay the "
    "simulation out again with --pooled.",
    # the coordinator's own side
    "quorum": "Too few sites answered: see the table of sites for who and why, then `lesionfed "
    "resume`; or lower federation.quorum.",
    "run-folder": "The run's folder at the coordinator cannot be used: do what the reason says, "
    "then `lesionfed resume`.",
    "checkpoint": "No checkpoint at the coordinator is whole: restore the folder from a backup or "
    "start a new run.",
    "model-file": "A model file cannot be used: do what the reason says where it was raised.",
    "flower": "One of Flower's programs at the coordinator refused or did not answer: look whether "
    "`lesionfed serve` runs and what its logs say, then `lesionfed resume`.",
    # Flower's own, by its number
    "flower-0": "Flower does not say what went wrong: ask the site for the end of its node's log.",
    "flower-1": "LesionFed could not be loaded at the site: ask it to install the version of its "
    "kit into the environment that its node runs in.",
    "flower-2": "The site's work ended before LesionFed could answer, most often because its disk "
    "is full or the bundle was refused: ask it for its node's log.",
    "flower-3": "The message was lost or too late: if the coordinator's server was restarted, the "
    "next round goes through; else compare federation.round_deadline_s with the round's time.",
    "flower-4": "The answer was lost on the way: if it comes again, ask the site to run "
    "`lesionfed-site preflight` for its bandwidth.",
    "flower-5": "The site's node stopped sending signs of life: ask the site to look whether it "
    "runs and the link is up.",
    "flower-6": "A filter in the site's node refused; LesionFed uses none, so ask the site who "
    "added one.",
    "flower-7": "The site could not verify the app bundle: submit the run again with `lesionfed "
    "run`, and compare versions.",
    "flower-8": "The site's work was killed, most often for memory: ask it for its system's log "
    "and to give its node more.",
}


def advice(code: str) -> str:
    """One sentence on what the coordinator does about a failure with this code, and where."""
    return ADVICE.get(code, UNKNOWN)
