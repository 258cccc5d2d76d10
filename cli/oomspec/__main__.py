"""``python -m oomspec``"""

from oomspec.main import main

if __name__ == "__main__":
    main()
