using System;
using System.Collections.Generic;
using System.IO;
using System.Threading;
using System.Threading.Tasks;
using Blanket.Lab.Bundles;
using Blanket.Lab.Configuration;
using Blanket.Lab.Hosting;

namespace Blanket.Lab.Instances;

/// <summary>What the machine has outside for guests that come and go while it runs. Used by who has the instance's turn.</summary>
public abstract class GuestParts : IDisposable
{
    /// <summary>Connects to what the instance's provider offers.</summary>
    /// <exception cref="HostException">It does not listen.</exception>
    public static async Task<GuestParts> OpenAsync(Instance instance, CancellationToken cancellation) =>
        File.Exists(instance.ConsolesSocket) ? new LineParts(instance) : await QemuParts.ConnectAsync(instance, cancellation).ConfigureAwait(false);

    /// <summary>Makes a guest's console and puts its disk images behind disk devices.</summary>
    /// <returns>The guest with what it has got.</returns>
    /// <exception cref="InputException">The provider does not offer that.</exception>
    /// <exception cref="HostException">Something was refused; <see cref="RemoveOthersAsync"/> takes away the rest.</exception>
    public abstract Task<PlannedGuest> AddAsync(PlannedGuest guest, CancellationToken cancellation);

    /// <summary>Takes away what guests had that are gone.</summary>
    /// <param name="guests">Those that are there.</param>
    /// <param name="cancellation">Stops the work.</param>
    public abstract Task RemoveOthersAsync(IReadOnlyCollection<string> guests, CancellationToken cancellation);

    /// <inheritdoc/>
    public abstract void Dispose();
}
