using System;

namespace Blanket.Machine;

/// <summary>Where log lines go: serial port, virtio console.</summary>
public abstract class LogSink
{
    /// <summary>Takes bytes of the log; must not log itself, wait for interrupts or allocate.</summary>
    public abstract void Write(ReadOnlySpan<byte> bytes);
}

/// <summary>
/// The hypervisor's log. <c>Log.Line("frames free "u8).Decimal(n).End();</c> writes one line to every sink
/// and to the ring that panics and late sinks replay. Guest-controlled bytes are written through <see cref="LogLine.Quoted"/> only.
/// </summary>
public static class Log
{
    private const int MaximumSinks = 4;
    private static LogSink?[]? s_sinks;
    private static SpinLock s_lock;
    private static byte[]? s_ring;
    private static ulong s_ringEnd;

    /// <summary>Prepares the ring; once at boot, in an allocation scope.</summary>
    /// <param name="ringBytes">Size of the ring, a power of two.</param>
    public static void Initialize(int ringBytes)
    {
        s_lock = new SpinLock(LockClass.Log);
        s_sinks = new LogSink?[MaximumSinks];
        s_ring = new byte[ringBytes];
    }

    /// <summary>Adds a sink and replays to it what was logged before.</summary>
    public static void AddSink(LogSink sink)
    {
        if (s_sinks == null || s_ring == null)
        {
            return;
        }

        s_lock.Acquire();
        ulong start = s_ringEnd > (ulong)s_ring.Length ? s_ringEnd - (ulong)s_ring.Length : 0;
        for (ulong i = start; i < s_ringEnd; i++)
        {
            sink.Write(new ReadOnlySpan<byte>(s_ring, (int)(i & (ulong)(s_ring.Length - 1)), 1));
        }

        for (int i = 0; i < MaximumSinks; i++)
        {
            if (s_sinks[i] == null)
            {
                s_sinks[i] = sink;
                break;
            }
        }

        s_lock.Release();
    }

    /// <summary>Begins a line with "blanket: " and the text.</summary>
    public static LogLine Line(ReadOnlySpan<byte> text)
    {
        LogLine line = default;
        line.Text("blanket: "u8);
        line.Text(text);
        return line;
    }

    /// <summary>Copies what was logged from a position on, as far as it is still there and fits.</summary>
    /// <param name="start">Bytes since boot; moved to the first byte that is copied.</param>
    /// <param name="end">Bytes that were ever logged.</param>
    /// <returns>Bytes copied.</returns>
    public static int Read(ref ulong start, out ulong end, Span<byte> destination)
    {
        end = 0;
        if (s_ring == null)
        {
            start = 0;
            return 0;
        }

        s_lock.Acquire();
        end = s_ringEnd;
        ulong oldest = end > (ulong)s_ring.Length ? end - (ulong)s_ring.Length : 0;
        start = Math.Min(Math.Max(start, oldest), end);
        int length = (int)Math.Min((ulong)destination.Length, end - start);
        for (int i = 0; i < length; i++)
        {
            destination[i] = s_ring[(int)((start + (ulong)i) & (ulong)(s_ring.Length - 1))];
        }

        s_lock.Release();
        return length;
    }

    internal static void Emit(ReadOnlySpan<byte> bytes)
    {
        if (s_sinks == null || s_ring == null)
        {
            return;
        }

        s_lock.Acquire();
        foreach (byte value in bytes)
        {
            s_ring[(int)(s_ringEnd & (ulong)(s_ring.Length - 1))] = value;
            s_ringEnd++;
        }

        foreach (LogSink? sink in s_sinks)
        {
            if (sink != null)
            {
                sink.Write(bytes);
            }
        }

        s_lock.Release();
    }
}
