using System.Threading;
using Blanket.Machine;

namespace Blanket.Core.Time;

/// <summary>
/// The timers of one CPU: a binary heap by deadline. Arming and cancelling cost O(log n), finding the next O(1);
/// nothing polls. A timer may be armed and cancelled by any CPU.
/// </summary>
public sealed class TimerQueue
{
    private readonly Timer?[] _heap;
    private SpinLock _lock = new(LockClass.Timers);
    private int _count;

    /// <summary>A queue with room for all timers of the machine, so that arming cannot fail.</summary>
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

    /// <summary>Arms a timer in this queue, in place of what it was armed for, in whatever queue.</summary>
    public void Arm(Timer timer, ulong deadline)
    {
        while (true)
        {
            Cancel(timer);
            _lock.Acquire();
            if (Interlocked.CompareExchange(ref timer.IsClaimed, 1, 0) == 0)
            {
                Volatile.Write(ref timer.Queue, this);
                break;
            }

            // Another CPU has armed it meanwhile.
            _lock.Release();
        }

        timer.Deadline = deadline;
        Place(timer, _count++);
        SiftUp(timer.HeapIndex);
        _lock.Release();
    }

    /// <summary>Disarms a timer, in whatever queue it is; nothing happens when it is not armed.</summary>
    public static void Cancel(Timer timer)
    {
        while (true)
        {
            TimerQueue? queue = Volatile.Read(ref timer.Queue);
            if (queue == null)
            {
                return;
            }

            queue._lock.Acquire();
            bool found = timer.Queue == queue;
            if (found)
            {
                queue.RemoveAt(timer.HeapIndex);
            }

            queue._lock.Release();
            if (found)
            {
                return;
            }
        }
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
        if (index != _count)
        {
            Place(last, index);
            SiftUp(index);
            SiftDown(last.HeapIndex);
        }

        Volatile.Write(ref removed.Queue, null);
        Volatile.Write(ref removed.IsClaimed, 0);
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
