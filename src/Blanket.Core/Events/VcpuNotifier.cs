using Blanket.Core.Domains;

namespace Blanket.Core.Events;

/// <summary>How a vCPU learns that an event waits for it; the scheduler implements it.</summary>
public abstract class VcpuNotifier
{
    private static VcpuNotifier? s_installed;

    /// <summary>Sets the implementation; once at boot.</summary>
    public static void Install(VcpuNotifier notifier) => s_installed = notifier;

    /// <summary>
    /// Ends a vCPU's block or poll, or makes the CPU that it runs on look at its events again. Called after the event is visible,
    /// possibly with locks of class up to <see cref="Machine.LockClass.Driver"/> held.
    /// </summary>
    protected abstract void Notify(Vcpu vcpu);

    /// <summary>Calls the installed implementation; before there is one no vCPU can be waiting.</summary>
    internal static void Kick(Vcpu vcpu)
    {
        if (s_installed != null)
        {
            s_installed.Notify(vcpu);
        }
    }
}
