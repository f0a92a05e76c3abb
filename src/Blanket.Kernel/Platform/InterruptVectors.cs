using System.Runtime.CompilerServices;
using Blanket.Machine;

namespace Blanket.Kernel.Platform;

/// <summary>
/// Who handles which interrupt vector, the same on every CPU. The entry stubs only note a vector; <see cref="Dispatch"/> later
/// acknowledges it and calls the handler. Until then the local APIC holds back interrupts of the same and lower priority.
/// </summary>
public static class InterruptVectors
{
    private const int VectorCount = 256;

    [InlineArray(VectorCount)]
    private struct Flags
    {
        private bool _first;
    }

    private static InterruptHandler?[] s_handlers = null!;
    private static Flags s_isLevel;
    private static SpinLock s_lock;
    private static int s_nextDevice;
    private static bool s_loggedStray;

    /// <summary>Prepares the table; once at boot, in an allocation scope.</summary>
    internal static void Initialize()
    {
        s_lock = new SpinLock(LockClass.Interrupts);
        s_handlers = new InterruptHandler?[VectorCount];
        s_isLevel = default;
        s_nextDevice = SystemVectors.FirstDevice;
        Register(SystemVectors.Prompt, new NothingMore());
        Register(SystemVectors.Flush, new FlushHandler());
        Register(SystemVectors.Error, new ErrorHandler());
    }

    /// <summary>Sets the handler of a vector; the vector must not be raised before.</summary>
    public static void Register(byte vector, InterruptHandler handler)
    {
        Check.That(s_handlers[vector] == null);
        s_handlers[vector] = handler;
    }

    /// <summary>Gives a vector of its own to a handler of a device.</summary>
    /// <param name="handler">The handler.</param>
    /// <param name="isLevel">The interrupt is level-triggered: acknowledged after the handler, which lowers the line.</param>
    /// <param name="vector">The vector.</param>
    /// <returns>False when all are taken.</returns>
    public static bool TryAllocate(InterruptHandler handler, bool isLevel, out byte vector)
    {
        s_lock.Acquire();
        while (s_nextDevice is SystemVectors.SystemCall or SystemVectors.Hypercall)
        {
            s_nextDevice++;
        }

        bool found = s_nextDevice <= SystemVectors.LastDevice;
        vector = found ? (byte)s_nextDevice++ : (byte)0;
        if (found)
        {
            s_isLevel[vector] = isLevel;
            s_handlers[vector] = handler;
        }

        s_lock.Release();
        return found;
    }

    /// <summary>Handles a vector that was noted on this CPU. Highest vector first keeps acknowledgements in their order.</summary>
    public static void Dispatch(byte vector)
    {
        if (vector is SystemVectors.Spurious or (>= SystemVectors.FirstLegacy and < SystemVectors.FirstDevice))
        {
            return;
        }

        InterruptHandler? handler = s_handlers[vector];
        bool isRaisedByController = vector != SystemVectors.Deferred;
        bool isLevel = s_isLevel[vector];
        if (isRaisedByController && !isLevel)
        {
            LocalApic.Acknowledge();
        }

        if (handler != null)
        {
            handler.Handle();
        }
        else
        {
            LogStray(vector);
        }

        if (isRaisedByController && isLevel)
        {
            LocalApic.Acknowledge();
        }
    }

    // Once: whatever raises it may do so very often.
    private static void LogStray(byte vector)
    {
        if (!s_loggedStray)
        {
            s_loggedStray = true;
            Log.Line("interrupts: vector "u8).Hex(vector).Text(" arrived and is nobody's; further ones are not reported"u8).End();
        }
    }

    private sealed class NothingMore : InterruptHandler
    {
        public override void Handle()
        {
        }
    }

    private sealed class FlushHandler : InterruptHandler
    {
        public override void Handle() => CpuRequests.Service();
    }

    private sealed class ErrorHandler : InterruptHandler
    {
        public override void Handle() => Log.Line("interrupts: local APIC error "u8).Hex(LocalApic.TakeErrors()).End();
    }
}
