"""Twenty texts for SmolLM2: (name, text). Prose of this project's own, but where a name says whose it is; those are in the
public domain."""
from pathlib import Path

PERSUASION = Path(__file__).resolve().parents[3] / 'data/texts/persuasion.txt'


def novel(first_words, last_words):
    text = PERSUASION.read_text()
    begin = text.index(first_words)
    return text[begin:text.index(last_words, begin) + len(last_words)]


CHAT = '''<|im_start|>system
You are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>
<|im_start|>user
How do I keep bread fresh for longer?<|im_end|>
<|im_start|>assistant
Keep it in a paper bag or a bread box at room temperature, cut side down, and slice only what you need. If you will not \
finish it in two or three days, freeze it in slices and toast them straight from the freezer. A refrigerator makes bread \
go stale faster.<|im_end|>
<|im_start|>user
And cake?<|im_end|>
<|im_start|>assistant
'''

CODE = '''def moving_average(values, width):
    """Means of `width` values in a row, as a list."""
    if width < 1:
        raise ValueError("width must be positive")
    total = sum(values[:width])
    means = [total / width]
    for i in range(width, len(values)):
        total += values[i] - values[i - width]
        means.append(total / width)
    return means


class Counter:
    def __init__(self):
        self.counts = {}

    def add(self, word):
        self.counts[word] = self.counts.get(word, 0) + 1

    def most_common(self, n):
        return sorted(self.counts.items(), key=lambda pair: -pair[1])[:n]
'''

JSON = '''{
  "id": 4711,
  "name": "garden table",
  "price": {"amount": 89.5, "currency": "EUR"},
  "tags": ["wood", "outdoor", "foldable"],
  "stock": [{"place": "Bremen", "count": 3}, {"place": "Lyon", "count": 0}, {"place": "Turin", "count": 12}],
  "discontinued": false
}
'''

REPORT = '''# Report on the bridge

The bridge over the lower river was closed on Monday after an inspector found a crack in the second pier. The crack is about \
forty centimetres long and runs from the water line upwards. It is not known yet whether it goes through the whole depth of the \
stone.

## What is done now

1. Divers look at the part of the pier below the water.
2. Two gauges measure every hour whether the crack grows.
3. Buses take the road over the dam, which adds twelve minutes to the journey.

## What it may cost

If only the facing stones are broken, the repair takes three weeks and costs about 80,000. If the core of the pier is damaged, \
the bridge has to be propped up, and nobody will cross it before next spring. The council has put aside money for the first \
case. For the second it would have to borrow, and the mayor has said that she would ask the citizens first.

## Questions from the meeting

A baker asked who pays for the customers that he loses. The answer was that the law knows no such payment. A teacher asked \
whether children could cross on foot while the gauges show no change. The engineer answered that one gauge is no proof, that two \
are little more, and that he would not send his own children. After that nobody asked anything.
'''

DIALOGUE = '''"You have counted them twice?" said the old man.

"Three times," said the girl. "There are eleven."

"Then one is missing."

"Or there never were twelve."

He laughed, and put the lamp on the table between them. "That is what your mother said when she was your age. She counted \
better than she listened. Twelve went up the hill in the morning, twelve stood by the well at noon, and I shut the gate behind \
twelve of them myself. So either one of them can open a gate, or you have a hole in your fence."

The girl looked at her shoes. "There is a hole in the fence," she said.
'''

MANY_TONGUES = ('The station is closed. La gare est fermée. Der Bahnhof ist geschlossen. La estación está cerrada. '
                'Stacja jest zamknięta. Вокзал закрыт. 駅は閉まっています。 车站关门了。 المحطة مغلقة. 🚉🚫')

ARITHMETIC = '''12 + 30 = 42
17 * 3 = 51
100 - 58 = 42
144 / 12 = 12
2^10 = 1024
The sum of the first n odd numbers is n^2: 1 = 1, 1 + 3 = 4, 1 + 3 + 5 = 9, 1 + 3 + 5 + 7 = 16, and so 1 + 3 + 5 + 7 + 9 = 25.
'''

SONNET = '''Shall I compare thee to a summer's day?
Thou art more lovely and more temperate:
Rough winds do shake the darling buds of May,
And summer's lease hath all too short a date;
Sometime too hot the eye of heaven shines,
And often is his gold complexion dimm'd;
And every fair from fair sometime declines,
By chance or nature's changing course untrimm'd;
But thy eternal summer shall not fade,
Nor lose possession of that fair thou ow'st;
Nor shall death brag thou wander'st in his shade,
When in eternal lines to time thou grow'st:
So long as men can breathe or eyes can see,
So long lives this, and this gives life to thee.
'''

GETTYSBURG = '''Four score and seven years ago our fathers brought forth on this continent, a new nation, conceived in Liberty, and \
dedicated to the proposition that all men are created equal.

Now we are engaged in a great civil war, testing whether that nation, or any nation so conceived and so dedicated, can long \
endure. We are met on a great battle-field of that war. We have come to dedicate a portion of that field, as a final resting \
place for those who here gave their lives that that nation might live. It is altogether fitting and proper that we should do \
this.
'''

PROVERBS = '''A soft answer turneth away wrath: but grievous words stir up anger.
The tongue of the wise useth knowledge aright: but the mouth of fools poureth out foolishness.
The eyes of the LORD are in every place, beholding the evil and the good.
'''

LOG = '''2024-03-01 08:14:02 INFO  start, 4 workers
2024-03-01 08:14:02 INFO  listening on port 8080
2024-03-01 08:14:09 WARN  worker 3: slow answer, 2114 ms
2024-03-01 08:15:40 ERROR worker 1: connection reset by peer
2024-03-01 08:15:41 INFO  worker 1: restarted
'''


def texts():
    return [
        ('one token', 'The'),
        ('two words', 'Good morning'),
        ('a question', 'What is the capital of France?'),
        ('a fact', 'Water boils at 100 degrees Celsius at sea level, and at a lower temperature on a mountain.'),
        ('one word over and over', 'again ' * 40),
        ('blanks and line ends', '\n\n\n  \t\t one\n\n      two   \n\n\n'),
        ('marks', '!!! ??? ... --- === ((( [[[ {{{ <<< >>> }}} ]]] ))) @#$%^&*~`'),
        ('arithmetic', ARITHMETIC),
        ('many tongues', MANY_TONGUES),
        ('a table', '| city | people | area |\n|---|---:|---:|\n| Bern | 134,000 | 51.6 |\n| Basel | 178,000 | 23.9 |\n'
                    '| Geneva | 203,000 | 15.9 |\n'),
        ('a log', LOG),
        ('Proverbs 15, King James Version, 1611', PROVERBS),
        ('JSON', JSON),
        ('dialogue', DIALOGUE),
        ('William Shakespeare, Sonnet 18, 1609', SONNET),
        ('Abraham Lincoln, Gettysburg, 1863', GETTYSBURG),
        ('Python', CODE),
        ('chat', CHAT),
        ('a report', REPORT),
        ('Jane Austen, Persuasion, 1818', novel('Sir Walter Elliot, of Kellynch Hall', 'instruction which she had')),
    ]
