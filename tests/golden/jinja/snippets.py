"""Small templates, by feature. make_golden.py renders each with jinja2 and writes what it prints, or that it fails."""

CONTEXT = {
    'messages': [
        {'role': 'system', 'content': 'Be brief.'},
        {'role': 'user', 'content': 'Hi "there" & <you>'},
        {'role': 'assistant', 'content': None, 'tool_calls': [
            {'id': 'c1', 'function': {'name': 'f', 'arguments': {'x': 1, 'y': [1.5, None, True]}}}]},
    ],
    'empty': [], 'none': None, 'zero': 0, 'one': 1, 'neg': -7, 'pi': 3.25, 'big': 9007199254740993,
    'yes': True, 'no': False, 's': 'Hello World', 'u': 'naïve – Ünïcödé 日本語 🙂', 'sp': '  \t padded \n ',
    'l': [3, 1, 2], 'words': ['b', 'A', 'c', 'a'], 'd': {'b': 1, 'a': 2, 'C': 3},
    'nested': {'k': {'l': [{'m': 'deep'}]}, 'items': 'shadow', 'n.m': 4},
    'people': [{'name': 'Bo', 'age': 9}, {'name': 'al', 'age': 30}, {'name': 'Cy', 'age': 9}],
    'multi': 'one\ntwo\n\nthree\r\nfour', 'quotes': 'it\'s "x" \\ \x01\x7f\x85', 'html': '<a href="x">\'&</a>',
    'floats': [1.0, 0.1, 1e16, 1e15, 123456789.125, 1e-4, 1e-5, -0.0, 1.5e300, 2.5],
}

STATEMENTS = '''
{% if yes %}a{% elif no %}b{% else %}c{% endif %}
{% if no %}a{% elif zero %}b{% else %}c{% endif %}
{% if no %}a{% elif yes %}b{% endif %}
{% for x in l %}{{ x }}{% endfor %}
{% for x in empty %}{{ x }}{% else %}none{% endfor %}
{% for x in l if x > 1 %}{{ loop.index }}/{{ loop.length }}:{{ x }} {% endfor %}
{% for x in l if x > 9 %}{{ x }}{% else %}nothing{% endfor %}
{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}
{% for k, v in d|items %}{{ k }}={{ v }};{% endfor %}
{% for (a, b), c in [((1, 2), 3)] %}{{ a }}{{ b }}{{ c }}{% endfor %}
{% for a, b in [(1, 2, 3)] %}{% endfor %}
{% for a, b in ['xy', 'zw'] %}{{ a }}-{{ b }} {% endfor %}
{% for x in 'añb' %}[{{ x }}]{% endfor %}
{% for k in d %}{{ k }}{% endfor %}
{% for x in undefined_thing %}{{ x }}{% else %}e{% endfor %}
{% for x in none %}{{ x }}{% endfor %}
{% for x in 5 %}{{ x }}{% endfor %}
{% for x in l %}{{ loop.index }} {{ loop.index0 }} {{ loop.revindex }} {{ loop.revindex0 }} {{ loop.first }} {{ loop.last }} {{ loop.length }} {{ loop.depth }} {{ loop.depth0 }}|{% endfor %}
{% for x in l %}{{ loop.previtem }}<{{ x }}>{{ loop.nextitem }} {% endfor %}
{% for x in l %}{{ loop.previtem is defined }}{{ loop.nextitem is defined }} {% endfor %}
{% for x in l %}{{ loop.cycle('odd', 'even') }} {% endfor %}
{% for x in [1, 1, 2, 2, 1] %}{{ loop.changed(x) }} {% endfor %}
{% for x in l %}{{ loop }}{% endfor %}
{% for x in l %}{% for y in l %}{{ loop.index }}{% endfor %}{{ loop.index }};{% endfor %}
{% for x in range(10) %}{% if x == 3 %}{% continue %}{% endif %}{% if x == 6 %}{% break %}{% endif %}{{ x }}{% endfor %}
{% for x in l %}{% break %}{% else %}never{% endfor %}
{% for x in l %}{% continue %}{% else %}never{% endfor %}
{% for x in l %}{% if x != 3 %}{% break %}{% endif %}a{% else %}never{% endfor %}
{% break %}
{% set x = 1 %}{% for i in l %}{% set x = x + i %}{{ x }} {% endfor %}{{ x }}
{% set x = 1 %}{% if yes %}{% set x = 2 %}{% endif %}{{ x }}
{% set ns = namespace(n=0) %}{% for i in l %}{% set ns.n = ns.n + i %}{% endfor %}{{ ns.n }}
{% set ns = namespace({'a': 1}, b=2) %}{{ ns.a }}{{ ns.b }}{{ ns.c }}{{ ns.c is defined }}
{% set ns = namespace() %}{% set ns.l = [] %}{% for i in l %}{% set ns.l = ns.l + [i * 2] %}{% endfor %}{{ ns.l }}
{% set d.x = 1 %}
{% set q.x = 1 %}
{% set a, b = 1, 2 %}{{ a }}{{ b }}
{% set a = 1, 2 %}{{ a }}
{% set a, b = [1] %}
{% set x %}a{{ one }}b{% endset %}[{{ x }}]
{% set x | upper | replace('A', 'z') %}a{{ one }}b{% endset %}[{{ x }}]
{% set ns = namespace() %}{% set ns.t %}cap{% endset %}{{ ns.t }}
{% set x %}{% set y = 2 %}{% endset %}{{ y is defined }}
{% set true = 1 %}
{% macro m(a, b=2) %}<{{ a }},{{ b }}>{% endmacro %}{{ m(1) }}{{ m(1, 3) }}{{ m(b=4, a=5) }}{{ m() }}
{% macro m(a, b=a) %}{{ b }}{% endmacro %}{{ m(7) }}
{% macro m(a) %}{{ a is defined }}{% endmacro %}{{ m() }}{{ m(none) }}
{% macro m(a) %}{% endmacro %}{{ m(1, 2) }}
{% macro m(a) %}{% endmacro %}{{ m(x=2) }}
{% macro m(a) %}{% endmacro %}{{ m(1, a=2) }}
{% macro m() %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 'x', k=2) }}
{% macro m(a) %}{{ varargs|length }}{% endmacro %}{{ m(1, 2, 3) }}
{% macro f(n) %}{% if n > 0 %}{{ n }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(5) }}
{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}
{% set x = 1 %}{% macro m() %}{{ x }}{% endmacro %}{% set x = 2 %}{{ m() }}
{% macro m() %}{% set x = 5 %}{% endmacro %}{{ m() }}{{ x is defined }}
{% macro m() %}a{% endmacro %}{{ m() ~ 'b' }}{{ m() + 'c' }}{{ m()|upper }}
{% macro m() %}{{ caller() }}!{% endmacro %}{% call m() %}body{% endcall %}
{% macro m() %}{{ caller('x') }}!{% endmacro %}{% call(v) m() %}<{{ v }}>{% endcall %}
{% macro m(a) %}{{ a }}{{ caller() if caller else 'no' }}{% endmacro %}{{ m(1) }}{% call m(2) %}c{% endcall %}
{% macro m() %}{% endmacro %}{% call m() %}c{% endcall %}
{% macro outer() %}{% macro inner(x) %}[{{ x }}]{% endmacro %}{{ inner(1) }}{% endmacro %}{{ outer() }}{{ inner is defined }}
{% for i in l %}{% macro m() %}{{ i }}{% endmacro %}{{ m() }}{% endfor %}
{% macro m(a, b=1, c) %}{% endmacro %}
{% filter upper %}a{{ s }}b{% endfilter %}
{% filter replace('a', 'b') | upper %}banana{% endfilter %}
{% with a = 1, b = 2 %}{{ a }}{{ b }}{% endwith %}{{ a is defined }}
{% with %}{% set z = 1 %}{{ z }}{% endwith %}{{ z is defined }}
{% set a = 1 %}{% with a = 2, b = a %}{{ a }}{{ b }}{% endwith %}{{ a }}
{% generation %}{% set g = 1 %}x{% endgeneration %}{{ g is defined }}
{% raw %}{{ x }}{% if %}{% endraw %}y
{%- raw -%}  {{ x }}  {%- endraw -%}  y
{% raw %}x
{# a comment #}a{# {{ x }} {% if %} #}b
{# open
{{ 1 }
{% if yes %}
{% endif %}
{% else %}
{% unknown %}
{% if %}x{% endif %}
{{ }}
{% for %}{% endfor %}
{% set %}
{% set 1 = 2 %}
{{ raise_exception('no ' ~ one) }}
{% if no %}{{ raise_exception('x') }}{% endif %}ok
{% if no %}{{ 1|nofilter }}{{ 1 is notest }}{% endif %}ok
{{ strftime_now('%d %b %Y %H:%M:%S %j %A %p %%') }}
{{ strftime_now('') }}
'''

WHITESPACE = [
    'a\n', 'a\n\n', '\na', 'a\r\nb\rc\n', '  {{ one }}  \n', '  {%- if yes %}  x  {% endif -%}  y', 'a {{- one -}} b',
    'a\n  {% if yes %}\n  b\n  {% endif %}\n c', 'a  {% if yes %}  b{% endif %}', '  {%+ if yes %}x{% endif %}',
    '{% if yes +%}\nx{% endif %}', '{% if yes %}\n\nx{% endif %}', '{% if yes -%}\n\n x{% endif %}',
    'a\n \t {# c #}\nb', 'a\n{#- c -#}\nb', 'a {# c #} b', '{# c +#}\nb', 'a\n  {{ one }}\nb', '{{ one }}\nb',
    'a\n{% set x = 1 %}\n{% set y = 2 %}\nb', '{% for x in l %}\n  {{ x }}\n{% endfor %}\n', 'x\n   {% raw %} r {% endraw %}\ny',
    'x\n   {%- raw +%} r {%- endraw %}\ny', '   {% if yes %}   {% if yes %}   x{% endif %}{% endif %}', '{{ "a" }}{% if yes %}\n{% endif %}b',
    'a\v{% if yes %}b{% endif %}', '\u00a0{% if yes %}b{% endif %}', 'a\u2003{%- if yes %}b{% endif %}', '{%if yes%}x{%endif%}',
    '{%\nif yes\n%}x{%\nendif\n%}', 'a\n\n  {% if yes %}b{% endif %}', '{# a #}  {% if yes %}b{% endif %}', '{# a #}\n  {% if yes %}b{% endif %}',
    '{% if yes %}\n  {% endif %}', '{{ one }}  {% if yes %}b{% endif %}', '{ { } } {a} %} #} }}', '{{ "}}" }}', "{{ '%}' }}", '{{ {"a": {"b": 1}}["a"]["b"] }}',
    '{{ {"a": {"b": 1}} }}', '{{- "x" }} {{+ "y" }}', '{%- set x -%}  a  {%- endset -%}[{{ x }}]', '{{ "a\nb" }}', '{% if yes %}a\n{% endif %}\n', '',
]

EXPRESSIONS = '''
1 + 2 * 3 - 4 // 3 % 2
2 ** 3 ** 2
-2 ** 2
(-2) ** 2
2 ** -1
7 / 2
-7 // 2
-7 % 3
7 % -3
7.5 // 2
-7.5 % 2
1 / 0
1 // 0
1 % 0
1.0 / 0
0 ** -1
9223372036854775807
-9223372036854775807
10 ** 18
1_000 + 0x1F + 0b11 + 0o17
1.5e3 + 2E-2
1.0
1e16
0.1 + 0.2
100.0 * 3
floats
floats|join(' ')
[1e22, 1e21, 123456789012345680.0, 5e-324, 1.7976931348623157e308]
1e400
-1e400
1 + 1.0
true + 1
true and 'x'
'' or 'y'
0 or none
1 and 0
not 1
not not s
not none == none
1 < 2 < 3
1 < 3 < 2
3 > 2 >= 2 != 1
1 == 1.0
1 == true
'1' == 1
none == undefined_thing
undefined_thing == other_thing
[1, 2] == [1, 2]
(1, 2) == [1, 2]
{'a': 1} == {'a': 1.0}
[1, 2] < [1, 3]
'a' < 'b'
'Z' < 'a'
1 < 'a'
none < 1
undefined_thing < 1
big == 9007199254740993.0
big > 9007199254740992.0
1 in l
9 not in l
'ell' in s
'' in s
1 in s
'a' in d
'x' in d
'a' in none
none in l
undefined_thing in l
1 in undefined_thing
'role' in messages[0]
not 1 in l
'a' ~ 1 ~ none ~ true ~ 1.5 ~ [1]
'a' ~ undefined_thing ~ 'b'
'a' + 'b' 'c'
'a' + 1
1 + 'a'
[1] + [2]
[1] + (2,)
'ab' * 3
3 * 'ab'
[1] * 2
'a' * -1
none + 1
undefined_thing + 1
undefined_thing
undefined_thing.x
undefined_thing['x']
undefined_thing()
undefined_thing[0:1]
-undefined_thing
d.nothing
d.nothing.more
d['nothing']
none.x
none.x is defined
one.x
'a' if yes else 'b'
'a' if no else 'b'
'a' if no
('a' if no) is defined
'a' if no else 'b' if no else 'c'
1 if yes else 2 if yes
yes and no or yes
1, 2
()
(1,)
(1)
[]
{}
[1, 'a', none, true, 1.5, [2], {'k': 'v'}, (3,)]
{'a': 1, 'b': [1], 2: none, 1.5: 'x', none: 0, true: 1}
{1: 'a', 1.0: 'b', true: 'c'}
[1, 2,]
{'a': 1,}
{[1]: 2}
'a\\n\\t\\'\\\\b\\x41\\u00e9\\101\\q'
"a'b"
"it's"
'"'
['it\\'s', '"q"', 'both\\'"', 'new\\nline', 'tab\\t', 'é', '\\x00\\x7f']
[quotes]
u
[u]
l[0]
l[-1]
l[9]
l[9] is defined
l['0']
l.0
l[0:2]
l[::-1]
l[-2:]
l[:-1]
l[5:1]
l[::0]
l[1:9:2]
l[9:0:-2]
s[1:4]
s[::-1]
s[-3:]
s[0]
s[99]
s[::2]
u[2]
u[1:6]
u[::-1]
u[-1]
d[0:1]
(1, 2, 3)[1:]
range(5)[1:3]|list
messages[0].role
messages[0]['content']
messages[0].content|length
nested.k.l[0].m
nested['k']['l'][0]['m']
nested.items is callable
nested.items()|list
nested['items']
nested.k['l'].0.m
messages[2].tool_calls[0].function.arguments.y
messages[2]
messages|length
messages[1:]|map(attribute='role')|list
range(3)
range(3)|list
range(1, 10, 3)|list
range(5, 0, -2)|list
range(0)|list
range(2, 8)
range(0, 9, 2)
range(1000000)
range(3)|length
range(3)[1]
2 in range(3)
dict(a=1, b=2)
dict([('a', 1)], b=2)
dict(d, z=9)
namespace(a=1)
d.items()
d.keys()
d.values()
d.items()|list
d.get('a')
d.get('q')
d.get('q', 5)
d.get('q', default=5) if no else 1
d.pop('a')
d.update({})
d.update is defined
l.append(1)
l.append is defined
l.pop is defined
l.index(1)
l.count(1)
l.index(99)
d.copy()
joiner('-')() ~ 'x'
cycler('a', 'b').next()
cycler('a', 'b').current
s.nothing
s.nothing is defined
s.upper is defined
s()
s.upper()
s.lower()
s.title()
s.capitalize()
"they're bill's".title()
'ǆ ß ŉ İ ΑΣ'.lower()
'ǆ ß ŉ ΑΣ'.upper()
'ǆ ß ŉ ΑΣ'.title()
'ßa ΑΣ'.capitalize()
sp.strip()
sp.lstrip()
sp.rstrip()
'xxaxx'.strip('x')
'xyaxy'.strip('yx')
'xxa'.lstrip('x')
'axx'.rstrip('x')
'\u00a0\u2003a\u3000'.strip()
s.startswith('Hell')
s.endswith('World')
s.startswith(('x', 'He'))
s.startswith('World', 6)
s.endswith('Hello', 0, 5)
s.startswith(1)
s.replace('o', '0')
s.replace('o', '0', 1)
s.replace('', '-')
s.replace('', '-', 3)
s.replace('l', '')
u.replace('日本', '*')
s.split()
s.split('o')
s.split('o', 1)
s.split(' ')[0]
'a,b,,c'.split(',')
' a  b c '.split()
' a  b c '.split(none, 1)
' a  b c '.split(' ')
' a  b c '.rsplit(none, 1)
' a  b c '.rsplit(none, 0)
'a,b,c'.rsplit(',', 1)
'aaa'.rsplit('aa')
'aaa'.split('aa')
''.split()
''.split(',')
'a'.split('')
'a</think>b</think>c'.split('</think>')[-1]
multi.splitlines()
multi.splitlines(true)
'a-b-c'.partition('-')
'a-b-c'.rpartition('-')
'abc'.partition('-')
'abc'.rpartition('-')
s.find('o')
s.find('zz')
s.rfind('o')
s.find('o', 5)
u.find('日')
u.rfind('ï')
'abcabc'.rfind('abc', 0, 5)
'aaaa'.rfind('aa')
s.index('W')
s.index('zz')
s.count('l')
s.count('')
'aaaa'.count('aa')
', '.join(['a', 'b'])
', '.join([1])
'-'.join('abc')
'a'.isalpha()
'a1'.isalnum()
'12'.isdigit()
'²'.isdigit()
'½'.isnumeric()
' '.isspace()
''.isspace()
'abc'.islower()
'ABC'.isupper()
'12'.isupper()
'5'.zfill(3)
'-5'.zfill(4)
'a'.ljust(3, '.')
'a'.rjust(3)
'ab'.center(5, '*')
'abc'.center(6, '*')
'abc'.removeprefix('a')
'abc'.removesuffix('c')
'{} and {}'.format(1, 'x')
'{0}{1}{0}'.format('a', 'b')
'{a}-{b}'.format(a=1, b=[2])
'{:>5}|{:<5}|{:^5}|{:*^7}'.format('a', 'b', 'c', 'd')
'{:05d}|{:+d}|{:,}|{:x}|{:#X}|{:b}|{:o}'.format(42, 5, 1234567, 255, 255, 5, 8)
'{:.2f}|{:8.3f}|{:e}|{:g}|{:%}|{:.1%}'.format(3.14159, 2.5, 12345.678, 0.0001, 0.5, 0.256)
'{!r} {!s}'.format('a', 'b')
'{{}} {}'.format(1)
'{0.role} {0[content]}'.format(messages[0])
'{}'.format()
'{'.format(1)
'{:.3}'.format('abcdef')
'{}{}{}'.format(none, true, 1.0)
'%s-%d-%5.2f-%r-%%' % ('a', 3, 2.5, 'q')
'%s' % 'x'
'%s' % [1]
'%d' % 'x'
'%05d|%-5s|%+d|%x' % (42, 'a', 3, 255)
'%(a)s' % {'a': 1}
'%s %s' % ('a',)
'%s' % ('a', 'b')
'%.2s' % 'abc'
'''

FILTERS = '''
s|upper
s|lower
u|upper
u|lower
'hELLO wORLD'|capitalize
'hello wORLD-foo (bar) ßx'|title
sp|trim
'xxaxx'|trim('x')
none|trim
5|trim
undefined_thing|trim
s|length
u|length
l|length
d|length
none|length
5|length
undefined_thing|length
(l|map('string'))|length
s|count
undefined_thing|default('x')
undefined_thing|d('x')
none|default('x')
''|default('x', true)
''|default('x', boolean=true)
s|default('x')
undefined_thing.a|default('x')
d.nothing|default('x')
undefined_thing|default
l|join
l|join(', ')
words|join('-')
people|join(',', attribute='name')
[1, none, true, 1.5]|join(' ')
'abc'|join(',')
d|join(',')
none|join
undefined_thing|join(',')
s|replace('o', '0')
s|replace('o', '0', 1)
5|replace('5', '6')
s|replace('', '.')
l|first
l|last
empty|first
empty|last
(empty|first) is defined
s|first
s|last
u|last
d|first
d|last
(l|map('string'))|first
(l|map('string'))|last
l|list
s|list
d|list
undefined_thing|list
none|list
5|string
none|string
[1]|string
true|string
'5'|int
'5.9'|int
'x'|int
'x'|int(7)
'x'|int(default=7)
'0x1f'|int(base=16)
'ff'|int(0, 16)
'101'|int(base=2)
' 12 '|int
'1_000'|int
'-3'|int
3.99|int
-3.99|int
true|int
none|int
l|int
'1e3'|int
'1.5'|float
'x'|float
'x'|float(2.5)
5|float
' 1e3 '|float
'inf'|float
'nan'|float
none|float
-5|abs
-5.5|abs
true|abs
'a'|abs
2.5|round
3.5|round
-2.5|round
2.675|round(2)
2.5|round(0, 'ceil')
2.4|round(method='floor')
1234.567|round(-2)
5|round
1.25|round(1)
1.05|round(1, 'ceil')
l|sum
people|sum(attribute='age')
people|sum(attribute='age', start=100)
[0.1, 0.2, 0.3]|sum
['a']|sum
[[1], [2]]|sum(start=[])
l|min
l|max
words|min
words|max
words|max(case_sensitive=true)
people|max(attribute='age')
empty|max
[1, 'a']|max
l|sort
l|sort(reverse=true)
words|sort
words|sort(case_sensitive=true)
people|sort(attribute='name')|map(attribute='name')|list
people|sort(attribute='age')|map(attribute='name')|list
people|sort(attribute='age,name')|map(attribute='name')|list
people|sort(reverse=true, attribute='age')|map(attribute='name')|list
[1, 'a']|sort
[none, 1]|sort
d|sort
s|sort|join
d|dictsort
d|dictsort(true)
d|dictsort(false, 'value')
d|dictsort(reverse=true)
d|dictsort(by='value', reverse=true)
l|dictsort
l|reverse|list
s|reverse
u|reverse
(l|map('string'))|reverse|list
d|reverse|list
[1, 2, 1, 'a', 'A', 'b']|unique|list
[1, 2, 1, 'a', 'A', 'b']|unique(true)|list
people|unique(attribute='age')|map(attribute='name')|list
[1, 1.0, true]|unique|list
words|map('upper')|list
words|map('replace', 'a', 'x')|list
people|map(attribute='name')|list
people|map(attribute='nope')|list
people|map(attribute='nope', default='-')|list
people|map(attribute='name.0')|join
messages|map(attribute='tool_calls.0.id')|list
[[1, 2], [3]]|map('join', '+')|list
[[1, 2], [3]]|map(attribute=0)|list
[[1, 2], [3]]|map('first')|list
words|map('nofilter')|list
l|select('odd')|list
l|select|list
[0, 1, '', 'a', none]|select|list
l|reject('odd')|list
[0, 1, '']|reject|list
l|select('gt', 1)|list
l|select('>', 1)|list
l|select('in', [1, 2])|list
l|reject('equalto', 1)|list
people|selectattr('age', 'equalto', 9)|map(attribute='name')|list
people|selectattr('age', '==', 9)|list|length
people|selectattr('nope')|list
people|selectattr('nope', 'defined')|list
people|rejectattr('age', 'gt', 10)|map(attribute='name')|list
messages|selectattr('role', 'in', ['user', 'system'])|list|length
messages|selectattr('tool_calls', 'defined')|list|length
l|select('notest')|list
none|select('odd')|list
none|map('upper')|list
0|selectattr('x')|list
5|select('odd')|list
empty|map('nofilter')|list
d|items|list
undefined_thing|items|list
l|items|list
l|batch(2)|list
l|batch(2, 0)|list
l|batch(5, 'x')|list
multi|indent
multi|indent(2)
multi|indent(2, true)
multi|indent(2, first=true, blank=true)
multi|indent('> ')
''|indent(2, true)
'a'|indent
'a\\n'|indent
s|center(21)
s|center(20)
'abc'|center(6)
s|truncate(5)
s|truncate(8, true)
s|truncate(8, true, '', 0)
s|truncate(9, false, '..', 0)
s|truncate(200)
s|truncate(3, true, '.', 0)
u|wordcount
'%s and %s'|format('a', 'b')
'%(x)s'|format(x=1)
html|escape
html|e
html|escape|escape
html|forceescape
html|safe
html|safe|e
('<'|safe) + '<'
'<' + ('<'|safe)
('<'|safe) ~ '<'
['<'|safe]
('<'|safe)|upper
('<'|safe)|replace('<', '&')
('<'|safe).replace('<', '&')
('%s'|safe) % '<'
('%s'|safe)|format('<')
('<'|safe)|trim
('<'|safe) * 2
('<'|safe)[0] + '<'
('a'|safe)|tojson
('<'|safe)|string + '>'
('<b>'|safe)|join
'a b/c?d=é'|urlencode
messages|tojson
messages|tojson(indent=2)
d|tojson(indent=4)
d|tojson(sort_keys=true)
u|tojson
u|tojson(ensure_ascii=true)
quotes|tojson
html|tojson
floats|tojson
[1, (2, 3), none, true, {}]|tojson
[[], {}]|tojson(indent=2)
{1: 2, none: 3, true: 4, 1.5: 5}|tojson
d|tojson(separators=(',', ':'))
d|tojson(indent=2, separators=(',', ': '))
d|tojson(indent='--')
d|tojson(indent=0)
undefined_thing|tojson
d.items()|tojson
(l|map('string'))|tojson
range(3)|tojson
('inf'|float)|tojson
('nan'|float)|tojson
namespace()|tojson
s|nofilter
s|upper|lower|title|trim
-5|abs + 1
(1 + 2)|string + '3'
1 + 2|string
'a'|upper ~ 'b'|upper
s|replace
s|replace('a')
s|upper(1)
s|default(x=1)
'tojson' is filter
'from_json' is filter
'equalto' is test
'nope' is test
'''

TESTS = '''
undefined_thing is defined
s is defined
undefined_thing is undefined
d.nothing is defined
none is defined
none is none
zero is none
undefined_thing is none
s is string
('a'|safe) is string
l is string
none is string
d is mapping
l is mapping
l is iterable
s is iterable
d is iterable
none is iterable
5 is iterable
undefined_thing is iterable
(l|map('string')) is iterable
(l|map('string')) is sequence
l is sequence
s is sequence
d is sequence
none is sequence
undefined_thing is sequence
d.items() is sequence
range(2) is sequence
5 is number
5.5 is number
true is number
'5' is number
5 is integer
true is integer
5.0 is integer
5.0 is float
5 is float
true is boolean
1 is boolean
true is true
1 is true
false is false
0 is false
1 is odd
2 is even
2.0 is even
'a' is odd
9 is divisibleby 3
9 is divisibleby(2)
1 is eq 1
1 is equalto 1.0
1 is == 1
1 is ne 2
1 is lt 2
1 is le 1
1 is gt 2
1 is ge 1
1 is lessthan 2
1 is greaterthan 2
1 is in l
1 is in(l)
5 is not in l
'a' is lower
'A' is upper
'A1' is upper
'1' is upper
'aB' is lower
none is sameas none
1 is sameas 1
true is sameas 1
l is sameas l
range is callable
s is callable
s.upper is callable
('a'|safe) is escaped
'a' is escaped
s is not string
not s is string
s is string and l is string
s is string or l is string
1 is 1
s is notest
s is string is string
[1] is eq [1]
s is string ~ 'x'
(s is string)|string
1 + 1 is eq 2
l|length is eq 3
messages[0].role is equalto 'system'
undefined_thing is defined and undefined_thing.x
undefined_thing is not defined or undefined_thing.x
yes is true if s is string else 'x'
'''


def every():
    """(template, where it is from)"""
    for line in STATEMENTS.strip('\n').split('\n'):
        yield line
    yield from WHITESPACE
    for block in (EXPRESSIONS, FILTERS, TESTS):
        for line in block.strip('\n').split('\n'):
            yield '{{ ' + line + ' }}'
