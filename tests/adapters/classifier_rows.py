"""Requests with our own opinion of them (1: worth the cloud), written for this project.

FIT gives the calibration in adapters/classifier_calibration.py, HELD only tells how good it is. Both have as many
short as long rows on either side, since length must not decide.
"""

FIT: tuple[tuple[str, int], ...] = (
    ("Fix the typo in the README heading.", 0),
    ("rename getUser to fetchUser everywhere", 0),
    ("What does git stash do?", 0),
    ("Add a .gitignore for Node.", 0),
    ("bump the version to 1.4.2", 0),
    ("Write a function that reverses a string.", 0),
    ("Which port does Postgres use by default?", 0),
    ("Delete the unused import in utils.ts", 0),
    ("Convert this list comprehension into a for loop.", 0),
    ("run the linter", 0),
    ("Add a comment above the constant saying that it is in seconds.", 0),
    ("How do I print a variable in bash?", 0),
    (
        "In the settings page there is a label that says Adress with one d, and the same mistake is in the tooltip and "
        "in the e-mail template. Could you please correct all three of them for me? Nothing else needs to change.",
        0,
    ),
    (
        "I have this JSON file with about forty entries and the keys are in no particular order. Please sort the keys "
        "alphabetically and use two spaces for the indentation, and leave the values as they are.",
        0,
    ),
    (
        "Hi! I am new here and just cloned the project. Could you tell me which command starts the tests, and where in "
        "the README that is written? I looked around a little but did not see it at first glance. Thanks a lot!",
        0,
    ),
    (
        "Please write a short commit message for the change that I staged: I moved the date helpers out of index.js "
        "into dates.js and updated the two places that import them. One line is enough, imperative mood.",
        0,
    ),
    (
        "Add a field called nickname, a string that may be empty, to the User dataclass, put it after the e-mail, and "
        "give it an empty default, so that the existing calls go on working as they do now.",
        0,
    ),
    (
        "The build prints this warning on every run: 'assigned but never used: tmp' in line 14 of report.py. The "
        "variable is not needed any more, so just take out that line and keep the rest of the function.",
        0,
    ),
    (
        "We have three buttons on the page, save, cancel and delete, and all of them are grey. Make the delete button "
        "red and leave the other two as they are. The styles are in buttons.css.",
        0,
    ),
    (
        "Give me an example of a docker run command that mounts the current folder at /app, publishes port 8000, and "
        "removes the container afterwards. I only need the one line, no explanation.",
        0,
    ),
    ("Find the deadlock in the connection pool.", 1),
    ("Why is replication losing writes after failover?", 1),
    ("Design a sharding scheme for the events table.", 1),
    ("Make this parser incremental.", 1),
    ("Audit the login flow for session fixation.", 1),
    ("Prove that the merge is associative.", 1),
    ("Our p99 doubled after the upgrade; find out why.", 1),
    ("Implement a CRDT for nested lists.", 1),
    ("Port the renderer from OpenGL to Vulkan.", 1),
    ("the test fails once in 500 runs, only on arm64. why?", 1),
    ("Split the monolith's billing module into a service.", 1),
    ("Write a type inference pass for our language.", 1),
    (
        "Sometimes a message is delivered twice and sometimes the offset goes backwards after a rebalance. I attached "
        "the logs of both consumers. Work out the order of events that leads to it and change the protocol so that it "
        "cannot happen.",
        1,
    ),
    (
        "We want to move from cookies to tokens without logging anybody out. Plan the migration across the three "
        "services and the mobile clients, say what can go wrong in each step, and how to roll back.",
        1,
    ),
    (
        "The optimiser picks a nested loop for this query since last week, although the statistics are fresh. Explain "
        "the cost model's decision and restructure the query and the indexes so that it stays fast with skewed data.",
        1,
    ),
    (
        "Rewrite the scheduler so that it respects priorities, cannot starve anyone, survives the crash of a worker in "
        "the middle of a job and works without a central lock. Keep the public API and add tests for each guarantee.",
        1,
    ),
    (
        "Here are the kernel log and the core dump of the storage daemon. The checksum is right in memory and wrong on "
        "disk, but only for files above 4 GB and with the new compressor. Track down the cause.",
        1,
    ),
    (
        "Refactor the payment code: the retry logic is spread over seven classes, there are two state machines that "
        "disagree, and refunds bypass both. Bring it into one consistent model and migrate the stored states.",
        1,
    ),
    (
        "Review this hand-written cipher mode for misuse: nonce handling, padding, side channels, and what an attacker "
        "who sees error messages can learn. Give a concrete attack for each weakness and a fix.",
        1,
    ),
    (
        "Build the undo system for our collaborative editor. Concurrent edits of other users must survive an undo, the "
        "history must stay small, and it has to work offline with later reconciliation.",
        1,
    ),
)

HELD: tuple[tuple[str, int], ...] = (
    ("Add a trailing newline to setup.cfg", 0),
    ("how do I list hidden files", 0),
    ("Remove the console.log in App.jsx", 0),
    ("Make the title bold.", 0),
    ("What is the difference between == and === in JavaScript?", 0),
    ("Write a unit test for add(a, b).", 0),
    (
        "Could you please go over the contact page and replace the old phone number 555-0100 by the new one, 555-0199? "
        "It occurs in the footer too. The layout should stay exactly as it is at the moment.",
        0,
    ),
    (
        "I would like the script to say Done at the end, so that I can see that it has finished. At the moment it just "
        "returns to the prompt. It is the file backup.sh and a simple echo is fine.",
        0,
    ),
    (
        "Translate the comments in helper.py from German into English. There are five of them, all one line long, and "
        "the code itself must not be touched. Please keep them short.",
        0,
    ),
    (
        "The date is shown as 2024/03/01 in the list but we would prefer 2024-03-01. As far as I can see it is only "
        "the one format string in list.html, so please change the slashes to hyphens there.",
        0,
    ),
    (
        "Add a line to the changelog under Unreleased that says that the export button now works in Safari, and put it "
        "in the section Fixed. If there is no such section yet, please make one.",
        0,
    ),
    (
        "Please show me the content of package.json and tell me which version of the test runner is in there. I only "
        "want to know the number for a bug report that I am writing right now.",
        0,
    ),
    ("Why does the garbage collector pause for two seconds?", 1),
    ("Make the B-tree crash safe.", 1),
    ("Find the use-after-free.", 1),
    ("Reduce the compile time by half.", 1),
    ("Is our consensus implementation linearizable?", 1),
    ("Replace the ORM without downtime.", 1),
    (
        "Two threads see different values of the flag although both take the mutex. It happens on one customer's "
        "machine only. Here is the disassembly; find out what the compiler did and whether it was allowed to.",
        1,
    ),
    (
        "Think about how plugins written in different languages could share one memory-safe event bus with our core, "
        "what the ABI must look like, and how versions can evolve. Then write the first implementation.",
        1,
    ),
    (
        "Our model's loss becomes NaN after 40,000 steps with mixed precision, never before and never with the same "
        "batch. Find the numerical cause and change the training loop so that it is stable.",
        1,
    ),
    (
        "Untangle the circular dependencies between the eleven packages of this repository, propose layers, move the "
        "code, and add a check to the build which keeps it that way.",
        1,
    ),
    (
        "We need rate limiting that is fair per tenant, works over six regions, tolerates partitions, and never lets "
        "more than five percent above the limit through. Choose an algorithm, argue for it and build it.",
        1,
    ),
    (
        "The rendering of large tables is slow in ways that the profiler does not explain. Investigate layout, paint "
        "and our virtual DOM diffing together, and restructure what is needed to hold 60 frames a second.",
        1,
    ),
)
