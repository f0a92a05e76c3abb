namespace Blanket.Drivers;

/// <summary>
/// Requests that end without the device: refused ones, and those in flight at a reset. First in, first out, of fixed
/// capacity; the owner's lock covers it.
/// </summary>
internal sealed class LocalCompletions(int capacity)
{
    private readonly uint[] _tags = new uint[capacity];
    private readonly byte[] _statuses = new byte[capacity];
    private int _first;
    private int _count;

    /// <summary>Requests that wait to be reported.</summary>
    public int Count => _count;

    /// <summary>The most that fit.</summary>
    public int Capacity => _tags.Length;

    /// <summary>Adds a request; the owner has made sure that there is room.</summary>
    public void Add(uint tag, byte status = 0)
    {
        Blanket.Machine.Check.That(_count < _tags.Length);
        int index = (_first + _count) % _tags.Length;
        _tags[index] = tag;
        _statuses[index] = status;
        _count++;
    }

    /// <summary>Takes the oldest.</summary>
    public bool TryTake(out uint tag, out byte status)
    {
        tag = 0;
        status = 0;
        if (_count == 0)
        {
            return false;
        }

        tag = _tags[_first];
        status = _statuses[_first];
        _first = (_first + 1) % _tags.Length;
        _count--;
        return true;
    }
}
