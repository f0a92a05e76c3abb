using Blanket.Machine;

namespace Blanket.Core.Time;

/// <summary>
/// The timers of one CPU: a binary heap by deadline. Arming and cancelling cost O(log n), finding the next O(1);
/// nothing polls. Room is reserved when a timer is created, so arming cannot fail.
/// </summary>
public sealed class TimerQueue
{
    private readonly Timer?[] _heap;
    private SpinLock _lock = new(LockClass.Timers);
    private int _count;
    private int _reserved;

    /// <summary>A queue for at most <paramref name="capacity"/> timers.</summary>
    public TimerQueue(int capacity)
    {
        _heap = new Timer?[capacity];
    }

    /// <summary>The earliest deadline; ulong.MaxValue when nothing waits.</summary>
    public ulong NextDeadline
    {
        get
        {
            _lock.Acquire();
            ulong next = _count > 0 ? _heap[0]!.Deadline : ulong.MaxValue;
            _lock.Release();
            return next;
        }
    }

    /// <summary>Makes room for more timers; false when the capacity is used up.</summary>
    public bool TryReserve(int timers)
    {
        _lock.Acquire();
        bool fits = timers <= _heap.Length - _reserved;
        if (fits)
        {
            _reserved += timers;
        }

        _lock.Release();
        return fits;
    }

    /// <summary>Gives room back.</summary>
    public void Unreserve(int timers)
    {
        _lock.Acquire();
        _reserved -= timers;
        _lock.Release();
    }

    /// <summary>Arms a timer, or moves it when it is armed.</summary>
    public void Arm(Timer timer, ulong deadline)
    {
        _lock.Acquire();
        if (timer.IsArmed)
        {
            RemoveAt(timer.HeapIndex);
        }

        timer.Deadline = deadline;
        Place(timer, _count++);
        SiftUp(timer.HeapIndex);
        _lock.Release();
    }

    /// <summary>Disarms a timer; nothing happens when it is not armed.</summary>
    public void Cancel(Timer timer)
    {
        _lock.Acquire();
        if (timer.IsArmed)
        {
            RemoveAt(timer.HeapIndex);
        }

        _lock.Release();
    }

    /// <summary>Calls every timer whose deadline has come.</summary>
    public void RunExpired(ulong now)
    {
        while (true)
        {
            _lock.Acquire();
            Timer? first = _count > 0 ? _heap[0] : null;
            if (first == null || first.Deadline > now)
            {
                _lock.Release();
                return;
            }

            RemoveAt(0);
            _lock.Release();
            first.Expired();
        }
    }

    private void Place(Timer timer, int index)
    {
        _heap[index] = timer;
        timer.HeapIndex = index;
    }

    private void RemoveAt(int index)
    {
        Timer removed = _heap[index]!;
        removed.HeapIndex = Timer.NotQueued;
        Timer last = _heap[--_count]!;
        _heap[_count] = null;
        if (index == _count)
        {
            return;
        }

        Place(last, index);
        SiftUp(index);
        SiftDown(last.HeapIndex);
    }

    private void SiftUp(int index)
    {
        Timer timer = _heap[index]!;
        while (index > 0)
        {
            int parent = (index - 1) / 2;
            Timer above = _heap[parent]!;
            if (above.Deadline <= timer.Deadline)
            {
                break;
            }

            Place(above, index);
            index = parent;
        }

        Place(timer, index);
    }

    private void SiftDown(int index)
    {
        Timer timer = _heap[index]!;
        while (true)
        {
            int child = 2 * index + 1;
            if (child >= _count)
            {
                break;
            }

            if (child + 1 < _count && _heap[child + 1]!.Deadline < _heap[child]!.Deadline)
            {
                child++;
            }

            Timer below = _heap[child]!;
            if (timer.Deadline <= below.Deadline)
            {
                break;
            }

            Place(below, index);
            index = child;
        }

        Place(timer, index);
    }
}
