using System;
using System.IO;
using System.Threading.Tasks;

namespace Blanket.Lab.Qemu;

/// <summary>The running virtual machine of a provider, whatever the provider runs. Disposing ends it.</summary>
public interface IL0Machine : IAsyncDisposable
{
    /// <summary>The log of what boots in the machine; ends when the machine does.</summary>
    public Stream Log { get; }

    /// <summary>Completes with QEMU's exit status.</summary>
    public Task<int> Exited { get; }

    /// <summary>What QEMU has said on its standard error.</summary>
    public string Diagnostics { get; }

    /// <summary>Why the provider's side could not run the machine, once it has ended; null if it could.</summary>
    public string? Failure { get; }

    /// <summary>A console port; ends when the machine does.</summary>
    public Stream Console(uint port);

    /// <summary>Ends QEMU at once, as when its host loses power.</summary>
    public void Kill();
}
