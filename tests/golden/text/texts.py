"""Texts for the tokenizer's golden file: a pure function of a seed. Prose in ten scripts and more, code, emoji, control
characters, white space of all kinds, and mixtures of them. All characters are in Unicode 14, the oldest version that a
supported PCRE2 knows."""
import random

WORDS = {
    'latin': '''the of and a to in is you that it he was for on are as with his they I at be this have from or one had by
        word but not what all were we when your can said there use an each which she do how their if will up other about
        out many then them these so some her would make like him into time has look two more write go see number no way
        could people my than first water been call who oil its now find long down day did get come made may part'''.split(),
    'accents': '''où été naïve façade Straße über größer niño mañana coração ação český říká łódź żółw İstanbul ığdır șase
        ţară Þór æðar fjörð smörgåsbord jäähyväiset hétköznapi cœur àé ö̲ éé ñ'''.split(),
    'greek': 'και το της να είναι για από με στην αυτό άνθρωπος λόγος ημέρα θάλασσα πού ΑΒΓ Ωμέγα'.split(),
    'cyrillic': '''и в не на я быть он с что а это как по но они к у ты из мы за вы так же от сказать год
        время человек який їжак ґанок Ђорђе щастя'''.split(),
    'arabic': 'في من على إلى هذا التي كان عن مع ما بعد كل الله يوم قال السَّلامُ عَلَيْكُم ١٢٣ پارسی می‌خواهم'.split(),
    'hebrew': 'של את על לא זה הוא אני כל עם יש גם היא אבל כמו רק שלום עולם בְּרֵאשִׁית'.split(),
    'devanagari': 'के है में की से और का को पर यह हैं भी नहीं एक कि ने क्षत्रिय हिन्दी ज्ञान १२३ श्री'.split(),
    'thai': 'ที่ และ เป็น ใน ของ ไม่ มี ได้ การ ให้ ว่า สวัสดีครับ ประเทศไทย น้ำ ๔๒'.split(),
    'han': '的 一 是 不了 在人 有我 他这 中国 人民 大学 学习 今天天气很好 臺灣 繁體字 龍 㐀 𠀀 𪚥'.split(),
    'japanese': 'の に は を た が で て と し れ さ ある いる こんにちは 世界 カタカナ ひらがな ｶﾞ 東京都 ゛ ー々'.split(),
    'hangul': '이 그 저 것 수 있다 하다 되다 나 없다 않다 사람 우리 한국어 안녕하세요 세계 ᄒ ᅡ ㅋㅋㅋ'.split(),
    'tamil': 'நான் அது இது என்ன ஒரு மற்றும் இல்லை தமிழ் வணக்கம் ஸ்ரீ'.split(),
    'others': 'ამბავი քաղաք አማርኛ ဗမာစာ ភាសាខ្មែរ བོད་ཡིག ᏣᎳᎩ ᚠᚢᚦ ⠓⠑⠇⠇⠕ 𝔘𝔫𝔦 𐌰𐌱 ꧋ ߒߞߏ'.split(),
}
EMOJI = '''😀 😂 ❤️ 👍🏽 👩‍👩‍👧‍👦 🏳️‍🌈 🇩🇪 🇯🇵 🤖 🫠 ☃ ⚡️ 1️⃣ #️⃣ 👨🏿‍🚀 🥲 💯 ✅ 🚀🚀 🫶🏻'''.split()
SIGNS = list('.,;:!?-_()[]{}<>/\\|@#$%^&*+=~`"\'') + ['...', '--', '—', '–', '…', '«', '»', '“', '”', '’', '„', '¿', '¡', '。',
    '、', '「', '」', '・', '،', '؟', '।', '€', '£', '¥', '©', '®', '™', '°', '±', '×', '÷', '≠', '≤', '→', '∀', '∑', '√', '∞',
    '́', '̈', '्', '‍', '‌', '\u00ad', '\ufeff', '\ufffd', '\u2060']
SPACES = [' ', '  ', '   ', '\t', '\n', '\n\n', '\r\n', '\r', ' \n', '\n ', '\u00a0', '\u2003', '\u3000', '\u2028', '\u2029', '\u0085',
          '\x0b', '\x0c', '\u180e', '\u200b', '\u1680', '\u202f', ' ' * 4, ' ' * 8, ' ' * 17, '\t\t', '\n\t', '\n' * 5]
NUMBERS = ['0', '1', '7', '42', '007', '1234', '1999', '3.14', '1,000,000', '6.02e23', '0xff', '12345678901234567890', '½', '²', '³',
           'Ⅻ', '①', '٣', '५', '๕', '𝟘', '㊿', '1st', '2nd', 'v1.2.3', '192.168.0.1', '+49-30-123', '10%', '$5', '-1']
SHORT = ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d", "'S", "'T", "'RE", "'Ve", "'LL", "'D", "n't", "don't", "I'm", "it's", "we'LL",
         "'ſ", "''s", "' s", "'x", "'1", " 's", "o'clock", "rock'n'roll", "'em"]
# Control characters that the vocabulary has bytes for: U+0004, 06, 13, 14, 16 and 1D are not among them.
CONTROLS = [chr(c) for c in [*range(0, 0x20), *range(0x7f, 0xa0)] if c not in (0x04, 0x06, 0x13, 0x14, 0x16, 0x1d)]
CODE = [
    'def {w}({w}, {w}={n}):\n    return {w}[{w}] + {n}\n', 'for (int i = 0; i < {n}; ++i) {{\n\t{w}[i] = {w};\n}}\n',
    'SELECT {w}, {w} FROM {w} WHERE {w} = "{w}";', '<a href="/{w}/{w}?{w}={n}">{w}</a>', '{{"{w}": [{n}, {n}], "{w}": null}}',
    '#include <{w}.h>\n\nint main(void) {{ return {n}; }}', 'let {w}: Vec<u{n}> = vec![{n}; {n}];', 'if {w} == {n} && !{w}:\n        pass',
    '\\frac{{{w}}}{{{n}}} \\in \\mathbb{{R}}^{{{n}}}', '$ {w} --{w}={n} | {w} > /dev/null 2>&1', 'C:\\{w}\\{w}{n}.txt',
    '{w}.{w}({n}).{w}(|{w}| {w} + {n})', '// {w} {w}\n/* {w} */', '    {w}:\n      - {w}: {n}\n', '{w}@{w}.org', '- [ ] {w}\n- [x] {w}\n',
    '| {w} | {n} |\n|---|---|\n', '### {w} {w}\n\n> {w}\n', '0b{n}', '{w}_{w}{n}', '{w}{n}{w}', 'x{n}=={n}', '"""{w}\n{w}"""']
TOKENS = ['<|endoftext|>', '<|im_start|>', '<|im_end|>', '<repo_name>', '<reponame>', '<file_sep>', '<filename>', '<gh_stars>',
          '<jupyter_start>', '<jupyter_text>', '<empty_output>']
ALMOST = ['<|im_start', '<|im_end|', '<|', '<', '<|endoftext|', '<<|im_end|>', '<|im_|im_end|>', '|>', '<repo', '<file_', '< |im_end|>']


def case(rng, word):
    kind = rng.random()
    return word if kind < 0.7 else word.capitalize() if kind < 0.9 else word.upper()


def prose(rng, script):
    words = WORDS[script]
    joint = '' if script in ('han', 'japanese', 'thai') and rng.random() < 0.7 else ' '
    text = joint.join(case(rng, rng.choice(words)) for _ in range(rng.randint(1, 12)))
    if rng.random() < 0.3:
        text += rng.choice(SHORT) if script == 'latin' else rng.choice(SIGNS)
    if rng.random() < 0.2:
        text += ' ' + rng.choice(NUMBERS)
    return text + rng.choice(['', '.', '!', '?', '。', ' ', '\n', '...'])


def code(rng):
    word = lambda: rng.choice(WORDS['latin']) + rng.choice(['', '_', 'X', '2', rng.choice(WORDS['latin']).capitalize()])
    template = rng.choice(CODE)
    parts = template.replace('{w}', '\0w').replace('{n}', '\0n').replace('{{', '{').replace('}}', '}').split('\0')
    return parts[0] + ''.join((word() if p[0] == 'w' else rng.choice(NUMBERS)) + p[1:] for p in parts[1:])


def code_point(rng):
    while True:
        low, high = rng.choice([(0x20, 0x7f), (0xa0, 0x250), (0x250, 0x3000), (0x3000, 0xa000), (0xac00, 0xd7a4), (0xf900, 0xfb00),
                                (0x1d400, 0x1d800), (0x1f300, 0x1f650), (0x20000, 0x2a6d0), (0xe000, 0xe100)])
        c = rng.randrange(low, high)
        if c not in (0x1c89, 0x1c8a):  # letters since Unicode 16
            return chr(c)


def mixture(rng, size, parts):
    pools = {'word': lambda: rng.choice(WORDS[rng.choice(list(WORDS))]), 'space': lambda: rng.choice(SPACES),
             'number': lambda: rng.choice(NUMBERS), 'sign': lambda: rng.choice(SIGNS), 'short': lambda: rng.choice(SHORT),
             'emoji': lambda: rng.choice(EMOJI), 'control': lambda: rng.choice(CONTROLS), 'point': lambda: code_point(rng),
             'token': lambda: rng.choice(TOKENS), 'almost': lambda: rng.choice(ALMOST)}
    return ''.join(pools[rng.choice(parts)]() for _ in range(size))


def text(rng):
    kind = rng.random()
    if kind < 0.45:
        return prose(rng, rng.choice(list(WORDS)))
    if kind < 0.57:
        return code(rng)
    if kind < 0.67:
        return mixture(rng, rng.randint(1, 8), ['space', 'sign', 'number', 'word', 'short'])
    if kind < 0.75:
        return mixture(rng, rng.randint(1, 6), ['emoji', 'word', 'space', 'sign'])
    if kind < 0.82:
        return mixture(rng, rng.randint(1, 6), ['control', 'word', 'space', 'number'])
    if kind < 0.90:
        return mixture(rng, rng.randint(1, 12), ['point'])
    if kind < 0.93:  # long pieces: words, blanks, digits
        unit = rng.choice(['a', 'ab', 'the', 'ha', ' ', '\n', '7', '12', '=', '-', 'é', '한', 'の', '😀', '\u3000', 'xyzzy', '\t'])
        return unit * rng.randint(5, 90)
    return mixture(rng, rng.randint(1, 10), ['word', 'space', 'number', 'sign', 'short', 'emoji', 'control', 'point'])


def texts(seed, count):
    """`count` different texts; the empty one is the first."""
    rng, seen = random.Random(seed), {'': None}
    while len(seen) < count:
        seen.setdefault(text(rng))
    return list(seen)


def texts_with_tokens(seed, count):
    rng, seen = random.Random(seed), {}
    while len(seen) < count:
        seen.setdefault(mixture(rng, rng.randint(1, 8), ['token', 'almost', 'word', 'space', 'number']))
    return list(seen)
