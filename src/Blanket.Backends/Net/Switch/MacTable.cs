namespace Blanket.Backends;

/// <summary>
/// Which port a MAC address is behind. Bounded as a whole and for each port; a full table learns nothing more, and packets to
/// unknown addresses are flooded. Under the switch's lock.
/// </summary>
internal sealed class MacTable
{
    /// <summary>Addresses of all ports.</summary>
    internal const int Capacity = 1024;

    /// <summary>Learned addresses of one port.</summary>
    internal const int CapacityOfPort = 128;

    /// <summary>Seconds after which an address that sends nothing is forgotten (IEEE 802.1Q, 8.8.3).</summary>
    internal const uint MaximumAge = 300;

    /// <summary>No port.</summary>
    internal const int None = -1;

    private const int ProbeLength = 16;
    private const int FreeEntry = -1;

    private readonly Entry[] _entries = new Entry[Capacity];
    private readonly int[] _learned = new int[NetworkSwitch.MaximumPorts];
    private readonly ulong _key;

    /// <summary>An empty table.</summary>
    /// <param name="key">Random: guests must not be able to guess which addresses are in each other's way.</param>
    internal MacTable(ulong key)
    {
        _key = key;
        for (int i = 0; i < Capacity; i++)
        {
            _entries[i].Port = FreeEntry;
        }
    }

    /// <summary>The port of an address, or <see cref="None"/>.</summary>
    internal int Find(ulong address, uint now)
    {
        int index = IndexOf(address);
        return index >= 0 && !IsAged(in _entries[index], now) ? _entries[index].Port : None;
    }

    /// <summary>Whether the address belongs to another port for good.</summary>
    internal bool IsTaken(ulong address, int port)
    {
        int index = IndexOf(address);
        return index >= 0 && _entries[index].IsFixed && _entries[index].Port != port;
    }

    /// <summary>Notes that an address was seen at a port, if there is room.</summary>
    internal void Learn(ulong address, int port, uint now)
    {
        int index = IndexOf(address);
        if (index < 0)
        {
            index = _learned[port] < CapacityOfPort ? FindRoom(address, now) : -1;
            if (index < 0)
            {
                return;
            }

            _learned[port]++;
            _entries[index] = new Entry { Address = address, Port = port };
        }

        ref Entry entry = ref _entries[index];
        if (entry.Port != port)
        {
            if (_learned[port] >= CapacityOfPort || entry.IsFixed)
            {
                return;
            }

            _learned[entry.Port]--;
            _learned[port]++;
            entry.Port = port;
        }

        entry.Seen = now;
    }

    /// <summary>Gives an address to a port for good. False when there is no room or it is another port's.</summary>
    internal bool TryFix(ulong address, int port, uint now)
    {
        int index = IndexOf(address);
        if (index >= 0 && _entries[index].IsFixed)
        {
            return _entries[index].Port == port;
        }

        if (index >= 0)
        {
            _learned[_entries[index].Port]--;
        }
        else
        {
            index = FindRoom(address, now);
        }

        if (index < 0)
        {
            return false;
        }

        _entries[index] = new Entry { Address = address, Port = port, IsFixed = true };
        return true;
    }

    /// <summary>Forgets all addresses of a port.</summary>
    internal void Forget(int port)
    {
        for (int i = 0; i < Capacity; i++)
        {
            if (_entries[i].Port == port)
            {
                _entries[i] = new Entry { Port = FreeEntry };
            }
        }

        _learned[port] = 0;
    }

    // CPUs know the time at different times: what was seen later is not old.
    private static bool IsAged(in Entry entry, uint now) => !entry.IsFixed && unchecked((int)(now - entry.Seen)) > MaximumAge;

    private int Start(ulong address)
    {
        ulong hash = unchecked((address ^ _key) * 0x9e3779b97f4a7c15);
        hash = unchecked((hash ^ (hash >> 32) ^ _key) * 0xd6e8feb86659fd93);
        return (int)(hash >> 54);
    }

    private int IndexOf(ulong address)
    {
        int start = Start(address);
        for (int i = 0; i < ProbeLength; i++)
        {
            int index = (start + i) % Capacity;
            if (_entries[index].Port != FreeEntry && _entries[index].Address == address)
            {
                return index;
            }
        }

        return -1;
    }

    private int FindRoom(ulong address, uint now)
    {
        int start = Start(address);
        for (int i = 0; i < ProbeLength; i++)
        {
            int index = (start + i) % Capacity;
            ref Entry entry = ref _entries[index];
            if (entry.Port == FreeEntry)
            {
                return index;
            }

            if (IsAged(in entry, now))
            {
                _learned[entry.Port]--;
                return index;
            }
        }

        return -1;
    }

    private struct Entry
    {
        internal ulong Address;
        internal int Port;
        internal uint Seen;
        internal bool IsFixed;
    }
}
