using System;

namespace Blanket.Lab.Instances;

/// <summary>The hypervisor refused a request of the management protocol.</summary>
/// <param name="status">Its negative errno.</param>
/// <param name="message">What that means.</param>
public sealed class ManagementException(int status, string message) : Exception(message)
{
    /// <summary>The hypervisor's negative errno.</summary>
    public int Status { get; } = status;
}
