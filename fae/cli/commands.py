"""The commands: what each does, what it takes, and examples. Light, so that help is quick."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Command:
    """A command, as its help describes it.

    Attributes:
        summary: what it does, in a line.
        usage: its arguments.
        details: what else to know.
        arguments: those that are no settings, each with its meaning.
        options: Hydra's that make sense here, each with its meaning.
        examples: arguments, each with what they do.
        failure: what exit code 1 means.
    """

    summary: str
    usage: str
    details: str = ""
    arguments: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)
    examples: Mapping[str, str] = field(default_factory=dict)
    failure: str = "a run failed"


SETTING = "KEY=VALUE"
SETTINGS_OF_TRAIN = {SETTING: "a setting of fae train, such as tracking.uri or data.root"}
RUN = {
    "RUN": "the beginning of a run's id; latest, which finished last; best, which has the lowest "
    "validation error on the images of the latest; or models:/NAME@ALIAS, a registered model"
}
STORE = {SETTING: "where the run is stored: tracking.uri, tracking.experiment"}
SHOW = {"--cfg job": "print the configuration, and do nothing else"}
OF_RUNS = {
    **SHOW,
    "--config-dir FOLDER": "look for presets and options in this folder, too",
    "hydra.run.dir=FOLDER": "where a run writes, by default outputs/DATE/TIME",
    "hydra.sweep.dir=FOLDER": "where a sweep writes, by default multirun/DATE/TIME",
}
HYDRA_HELP = {"--hydra-help": "all of Hydra's options"}

COMMANDS: Mapping[str, Command] = {
    "train": Command(
        "Train one configuration, or with -m a sweep of several.",
        "[-m] [KEY=VALUE ...]",
        "The same command again resumes what was interrupted and repeats nothing that is done. "
        "Runs are stored in mlflow.db and mlruns/; mlflow ui shows them.",
        options={
            "-m": "a sweep: several values of a key, all combinations, as in hidden=64,128 "
            "lr=0.1,0.5, hidden='range(8,65,8)' or optimizer='glob(*)'",
            **OF_RUNS,
            "hydra/launcher=joblib": "several runs at a time, hydra.launcher.n_jobs=2",
            "hydra/launcher=slurm": "each run a job of a Slurm cluster",
            "hydra/launcher=ray": "each run a task of a Ray cluster",
            **HYDRA_HELP,
        },
        examples={
            "fae train": "the paper's settings, n = 64",
            "fae train -m hidden=64,128,256,512": "the paper's experiment",
            "fae train hidden=256 optimizer=adam lr=1e-3 dropout=0.2": "other settings",
            "fae train hidden=64,128 repeats=5": "five seeds of each network",
            "fae train hidden=64,128 repeats=auto": "as many seeds as it takes to decide",
            "fae train -m experiment=digits": "a preset: real images without a download",
            "fae train 'model.widths=[256]' model=deep": "a deeper network, quoted for the shell",
            "fae train -m hidden=64,128 sweep.plan_only=true": "show what would be run",
        },
    ),
    "search": Command(
        "Find the best settings of a network by trials, and train it with fresh seeds.",
        "[-m] [KEY=VALUE ...]",
        "The settings with the lowest validation error win. The same command again resumes the "
        "study; several at a time share its trials.",
        options={
            "-m": "several studies, one for each combination of values, as in hidden=64,128",
            **OF_RUNS,
            **HYDRA_HELP,
        },
        examples={
            "fae search hidden=256": "the best learning rate, by 25 trials",
            "fae search -m hidden=64,128 search.trials=40": "two studies",
            "fae search optimizer=adam search.space.lr.high=1e-2": "in a narrower range",
            "fae search '+search.space.dropout={low: 0, high: 0.5}'": "dropout as well",
            "fae search search.space.lr=null '+search.space.batch_size=[100,1000]'": "another key",
        },
        failure="a trial or a run failed",
    ),
    "report": Command(
        "Write the report of a sweep, or of runs that match conditions.",
        "[KEY=VALUE ...]",
        "A page, tables and figures, from what the store holds. sweep and where may be given "
        "several times; their values are taken as they are.",
        options={**SHOW, **HYDRA_HELP},
        examples={
            "fae report": "of the latest sweep",
            "fae report sweep='hidden=64,128,256,512 repeats=5' out=docs/report": "of one sweep",
            "fae report where='hidden=64 optimizer=sgd,adam'": "of all runs with these parameters",
            "fae report report.fail_unless=reproduced": "fail unless all are reproduced",
        },
        failure="report.fail_unless is not met",
    ),
    "answers": Command(
        "Answer the questions that the paper leaves open, from the runs in the store.",
        "[FOLDER] [KEY=VALUE ...]",
        "Writes answers.md and its figures. A question whose runs are not there yet is named with "
        "the command that makes them.",
        arguments={
            "FOLDER": "where to write; default: reports",
            SETTING: "a setting of fae train, for every experiment: tracking.uri and data.root, "
            "or trainer.accelerator=gpu for experiments that ran on a GPU",
        },
        examples={"fae answers": "into reports/", "fae answers docs": "into docs/"},
        failure="something else failed",
    ),
    "reproduce": Command(
        "Train a stored run, or all runs of a sweep, again, and compare them bit for bit.",
        "RUN [KEY=VALUE ...]",
        "A run is trained by the installed code, from what the store has of it, and compared: each "
        "epoch's errors, the test error, the weights. What differs is named, and so is what is "
        "different between then and now: code, libraries, processor. The new run is stored beside "
        "the old one as a reproduction, which counts as no other run.",
        arguments={
            "RUN": f"{RUN['RUN']}; or the beginning of a sweep's id",
            SETTING: "where they are: tracking.uri and tracking.experiment, and data.root for the "
            "images; all else is as it was",
        },
        examples={
            "fae reproduce 31f1a576": "the run whose id begins so",
            "fae reproduce 59e26712 tracking.uri=http://server:5000": "all runs of a sweep, from a "
            "server",
            "fae reproduce 31f1a576 data.root=photos": "own images, which are elsewhere by now",
        },
        failure="a run is not identical",
    ),
    "reconstruct": Command(
        "Reconstruct image files by a trained network.",
        "RUN FILE ... [--invert] [--out FOLDER] [KEY=VALUE ...]",
        "Images are resized as the network needs them, and read as those of data=folder are. The "
        "folder gets a panel, a table of errors, and each image, its reconstruction and their "
        "difference as files.",
        arguments={
            **RUN,
            "FILE": "an image, or a folder of images",
            "--invert": "swap black and white, as for a dark object on a light ground and a "
            "network that was trained on light ones on dark",
            "--out FOLDER": "where to write, a new folder; default: reconstructions/DATE_TIME",
            **STORE,
        },
        examples={
            "fae reconstruct best shirt.jpg shoe.png --invert": "two photographs",
            "fae reconstruct 31f1a576 photos --out shown": "all images in a folder",
        },
        failure="something else failed",
    ),
    "export": Command(
        "Write a trained network as an ONNX file, which other programs run without PyTorch.",
        "RUN FILE [KEY=VALUE ...]",
        "Its input images is (batch, pixels), float32 in [0, 1], its output reconstructions has "
        "the same shape. pip install 'fae[onnx]' installs what this needs.",
        arguments={
            **RUN,
            "FILE": "the file to write, a new one",
            **STORE,
        },
        examples={
            "fae export best network.onnx": "the best network",
            "fae export models:/fashion@champion network.onnx": "a registered one",
        },
        failure="something else failed",
    ),
    "evaluate": Command(
        "Print the errors of a trained network, by class.",
        "RUN [SPLIT ...] [--out FILE] [KEY=VALUE ...]",
        "Mean squared error, peak signal-to-noise ratio and structural similarity, with intervals "
        "over images; on the run's own images or those of another data set.",
        arguments={
            **RUN,
            "SPLIT": "which images: train, val, test; default: test",
            "--out FILE": "write the table there, too, as CSV with full precision",
            SETTING: "data=NAME and others of data, for another data set or where it is; "
            "tracking.uri, tracking.experiment",
        },
        examples={
            "fae evaluate best": "on the test images",
            "fae evaluate latest train val test --out errors.csv": "on all images",
            "fae evaluate latest data=mnist": "on other images of the same size",
        },
        failure="something else failed",
    ),
    "explore": Command(
        "Look inside a trained network: its codes, and images of other codes.",
        "RUN [--out FOLDER] [KEY=VALUE ...]",
        "Writes a page with the code space of the test images, images between two of them, images "
        "of drawn codes where the network has any, and the accuracy of a linear classifier on the "
        "codes, which the run gets as metric probe/accuracy.",
        arguments={
            **RUN,
            "--out FOLDER": "where to write, a new folder; default: explorations/DATE_TIME",
            SETTING: "data.root, where the images are; tracking.uri, tracking.experiment",
        },
        examples={
            "fae explore best": "the network with the lowest validation error",
            "fae explore 31f1a576 --out inside": "that of a run, into a folder",
        },
        failure="something else failed",
    ),
    "sync": Command(
        "Upload to the store what runs could not, and close crashed runs.",
        "[FOLDER ...] [KEY=VALUE ...]",
        "Runs are uploaded to the store that tracking.uri names, if it has them, and never to the "
        "address in their folder. Crashed runs are closed in the experiments of the folders and in "
        "the one that tracking.experiment names. Runs that are still running are left alone.",
        arguments={
            "FOLDER": "a run's folder, or one that contains such; default: outputs and multirun",
            **SETTINGS_OF_TRAIN,
        },
        examples={
            "fae sync": "everything below the working folder",
            "fae sync multirun/2026-11-24 tracking.uri=http://server:5000": "to a server",
        },
        failure="something else failed",
    ),
    "doctor": Command(
        "Check the installation, the data, the store and the folders, and say how to fix problems.",
        "[KEY=VALUE ...]",
        arguments=SETTINGS_OF_TRAIN,
        examples={
            "fae doctor": "check the defaults",
            "fae doctor data.root=/data": "check another folder of images",
        },
        failure="there are problems",
    ),
}

COMPLETION = Command(
    "Print the code by which a shell completes fae with the tab key.",
    "bash | zsh | fish",
    "Commands are completed, and settings, groups and presets after them.",
    examples={
        'eval "$(fae completion bash)"': "in this bash; in ~/.bashrc, in each new one",
        'eval "$(fae completion zsh)"': "in zsh; in ~/.zshrc, in each new one",
        "fae completion fish | source": "in fish; in ~/.config/fish/config.fish, in each new one",
    },
)

EXIT_CODES = {
    "2": "bad configuration or data; nothing was computed",
    "3": "the store cannot be used, or lacks something in the end",
    "130, 143": "interrupted by Ctrl-C, by SIGTERM",
    "138, 140": "interrupted by SIGUSR1, by SIGUSR2, as before a time limit",
}
"""Those that mean the same for all commands; 0 is done, and 1 what the command says."""
