"""The program starts where there is no CUDA: none of the shared libraries that it asks for is CUDA's.

usage: test_libraries.py PROGRAM
"""
import re
import subprocess
import sys

listed = subprocess.run(['readelf', '--dynamic', '--wide', sys.argv[1]], check=True, capture_output=True, text=True).stdout
needed = re.findall(r'\(NEEDED\).*\[(.+)\]', listed)
wrong = [name for name in needed if re.match(r'lib(cuda|cublas|cudnn|nv|nccl)', name)]
for name in wrong:
    print(f'FAILED: {sys.argv[1]} needs {name}, which is not there without CUDA; open it at run time')
if not needed:
    print(f'FAILED: {sys.argv[1]}: found no shared library at all in what readelf says')
good = bool(needed) and not wrong
print(f'{int(good)} passed, {int(not good)} failed')
sys.exit(0 if good else 1)
