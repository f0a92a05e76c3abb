namespace Blanket.Lab.Images;

/// <summary>What makes an image one guest's.</summary>
public sealed record ImageLogin
{
    /// <summary>The guest's host name.</summary>
    public required string HostName { get; init; }

    /// <summary>Lines of root's <c>authorized_keys</c>.</summary>
    public string AuthorizedKeys { get; init; } = string.Empty;

    /// <summary>Root's password for the console, or null for none: SSH takes keys only.</summary>
    public string? Password { get; init; }
}
