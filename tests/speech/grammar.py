"""A small grammar of meeting sentences: what the test recordings say.

`sentence(rng)` writes one sentence (capitals, punctuation, numbers in words); `held_out(rng)` writes only
sentences that the tiny Whisper in the package never saw in its training: those whose SHA-1 is 0 modulo 10.
A `{slot}` in a template stands for a random entry of that line of the table, and entries may hold slots themselves.
"""

import hashlib
import random
import re

_TABLE = """
name: Anna | Ben | Carlos | Dana | Emma | Grace | Henry | Julia | Kenji | Laura | Marcus | Nina | Oscar | \
    Priya | Robert | Sofia | Thomas | Wendy
day: Monday | Tuesday | Wednesday | Thursday | Friday | Saturday | Sunday
month: January | February | March | April | May | June | July | August | September | October | November | \
    December
digit: one | two | three | four | five | six | seven | eight | nine
teen: ten | eleven | twelve | thirteen | fourteen | fifteen | sixteen | seventeen | eighteen | nineteen
tens: twenty | thirty | forty | fifty | sixty | seventy | eighty | ninety
num: {digit} | {teen} | {tens} | {tens} {digit} | {digit} hundred
big: {num} thousand | {digit} million | {digit} hundred {tens} | {digit} thousand {digit} hundred
money: {big} dollars | {big} euros | {num} dollars | {num} euros
rate: {num} percent | {digit} point {digit} percent
hour: one | two | three | four | five | six | seven | eight | nine | ten | eleven | twelve
time: {hour} | {hour} thirty | {hour} fifteen | {hour} forty five | {hour} o'clock | noon | half past {hour}
num2: {teen} | {tens} | {digit}
break: five | ten | fifteen | twenty
ord: first | second | third | fourth | last | next
when: today | tomorrow | on {day} | next week | this afternoon | in {month} | after lunch | \
    before the end of {month} | on {day} at {time} | tomorrow morning | right now | later this week | at {time}
topic: budget | contract | report | schedule | design | survey | agenda | proposal | forecast | roadmap | \
    launch plan | security review | release | invoice | training | website | customer feedback | \
    marketing plan | sales target | new office | database | prototype | test report | hiring plan | \
    product demo | quarterly result
thing: slides | notes | document | link | file | recording | summary | draft | list | numbers | presentation
team: design team | sales team | support team | finance team | legal team | customer | marketing team | \
    engineering team | whole team | board | product team
who: I | we | they | you
whoS: I | We | They | You
modal: can | should | will | must | could
act: review | update | finish | check | approve | discuss | share | send | present | change | prepare | move | \
    cancel | record
meeting: meeting | review | call | workshop | interview | demo | standup | session
"""


def _read(table: str) -> dict[str, list[str]]:
    rows = (line.split(":", 1) for line in table.splitlines() if line)
    return {slot.strip(): [entry.strip() for entry in entries.split("|")] for slot, entries in rows}


SLOTS = _read(_TABLE)

TEMPLATES = [
    "The {topic} moves to {day} at {time}.",
    "The {topic} {meeting} starts at {time}.",
    "The next {meeting} is {when}.",
    "Good morning everyone, let's get started.",
    "Good afternoon everyone, thanks for joining.",
    "Thanks, {name}, that was very clear.",
    "Welcome to the {topic} {meeting}.",
    "Let's {act} the {topic} {when}.",
    "Let's start with the {topic}.",
    "Okay, let's move on to the {ord} point.",
    "{name} will {act} the {topic} {when}.",
    "{name}, can you {act} the {thing} {when}?",
    "{whoS} {modal} {act} the {topic} {when}.",
    "{whoS} {modal} {act} the {thing} with the {team}.",
    "Can you hear me, {name}?",
    "Can everyone see my screen?",
    "{name}, you are on mute.",
    "Sorry, I was on mute.",
    "Could you share your screen, {name}?",
    "Could you please repeat the {ord} question?",
    "What do you think about the {topic}, {name}?",
    "What is the status of the {topic}?",
    "When will {name} {act} the {topic}?",
    "Where is the {thing} for the {topic}?",
    "Who will {act} the {topic}?",
    "Why did the {team} cancel the {meeting}?",
    "How many people joined the {meeting}?",
    "How much did we spend on the {topic}?",
    "We spent {money} on the {topic}.",
    "We need {money} for the {topic}.",
    "The {topic} costs {money}.",
    "Sales went up by {rate} in {month}.",
    "Revenue grew {rate} this quarter.",
    "Costs went down by {rate} last year.",
    "About {rate} of the customers said yes.",
    "The deadline for the {topic} is {month} {num2}.",
    "The {team} needs the {thing} by {day}.",
    "The {team} agreed to {act} the {topic}.",
    "The {team} is waiting for the {topic}.",
    "{name} and {name} are working on the {topic}.",
    "I'll send the {thing} to {name} {when}.",
    "I don't think we can finish the {topic} {when}.",
    "I think the {topic} is almost done.",
    "I agree with {name} about the {topic}.",
    "We're {num} minutes behind schedule.",
    "We have {num} open tickets and {num} new requests.",
    "We hired {num} people in {month}.",
    "There are {num} items on the agenda.",
    "Please {act} the {thing} before {day}.",
    "Please write that down in the notes.",
    "Does anyone have a question about the {topic}?",
    "Any questions so far?",
    "The action item goes to {name}.",
    "The room number is {num}.",
    "The build failed at {time}.",
    "The server was down for {num} hours.",
    "The {meeting} will take {num} minutes.",
    "Let's take a {break} minute break.",
    "Let's wait for {name} to join.",
    "{name} has to leave at {time}.",
    "{name} is out of the office until {day}.",
    "That's all for today, thank you.",
    "See you {when}.",
    "Yes, that works for me.",
    "No, we should wait until {day}.",
    "It depends on the {team}.",
    "The captions are working now.",
    "Turn on the captions, please.",
    "The {ord} version of the {topic} is ready.",
    "It was a great {meeting}, {name}.",
]

_SLOT = re.compile(r"\{(\w+)\}")


def expand(template: str, rng: random.Random) -> str:
    while (slot := _SLOT.search(template)) is not None:
        template = template[: slot.start()] + rng.choice(SLOTS[slot.group(1)]) + template[slot.end() :]
    return template


def sentence(rng: random.Random) -> str:
    return expand(rng.choice(TEMPLATES), rng)


def is_held_out(text: str) -> bool:
    """Whether the tiny Whisper never heard this sentence. Templates without a slot were all in its training."""
    digest = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
    return text not in TEMPLATES and int(digest, 16) % 10 == 0


def held_out(rng: random.Random, least_words: int = 1) -> str:
    while not is_held_out(text := sentence(rng)) or len(text.split()) < least_words:
        pass
    return text
